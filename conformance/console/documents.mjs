// Documents of the stories, as a user writes them. All live in namespace `shop` unless said otherwise.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const CLASS = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: isthmus}
spec: {controllerName: isthmus.dev/gateway-controller}
`;

export const gateway = (name, port) => `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: shop}
spec:
  gatewayClassName: isthmus
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners:
  - {name: web, port: ${port}, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
`;

export const service = (name, ...ports) => `apiVersion: isthmus.dev/v1alpha1
kind: MeshService
metadata: {name: ${name}, namespace: shop}
spec:
  ports: [{name: http, port: 80}]
  sources: [{static: {endpoints: [${ports.map((port) => `{address: 127.0.0.1, port: ${port}}`).join(", ")}]}}]
`;

/** A Secret with a certificate that holds for some days. */
export function certificate(name, host, days) {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-certificate-"));
  try {
    const [key, chain] = ["key", "chain"].map((file) => join(folder, file));
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
    const says = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`, "-days", String(days), "-out", chain];
    execFileSync("openssl", ["req", "-x509", ...curve, ...says], { stdio: "pipe" });
    const [crt, pem] = [chain, key].map((file) => readFileSync(file).toString("base64"));
    return `apiVersion: v1
kind: Secret
metadata: {name: ${name}, namespace: shop}
type: kubernetes.io/tls
data: {tls.crt: ${crt}, tls.key: ${pem}}
`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Kubernetes' own, with its endpoints. */
export const coreService = (name, port) => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, namespace: shop, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
ports: [{name: http, port: ${port}}]
endpoints: [{addresses: [127.0.0.1]}]
`;

const ref = (name, weight) =>
  `{group: isthmus.dev, kind: MeshService, name: ${name}, port: 80${weight === undefined ? "" : `, weight: ${weight}`}}`;

/** `backends`: names, or pairs of name and weight. */
export const route = (name, host, backends, { path = "/", gateway = "edge", type = "PathPrefix", more = "" } = {}) => `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: shop}
spec:
  parentRefs: [{name: ${gateway}}]
  hostnames: ['${host}']
  rules:
  - matches: [{path: {type: ${type}, value: '${path}'}}]
    backendRefs: [${backends.map((one) => (Array.isArray(one) ? ref(...one) : ref(one))).join(", ")}]
${more}`;

export const all = (...documents) => documents.join("---\n");
