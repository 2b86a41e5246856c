// The wizards by hand, each until `curl` sees what it is for.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { axe, browser, page, SHOTS } from "./browser.mjs";
import { eurekaServer, freePort, start, until } from "./bed.mjs";
import { all, CLASS, coreService, gateway, service } from "./documents.mjs";
import { apply, choose } from "./hands.mjs";

let bed;
let chrome;
let web;
let tab;
let backends;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  web = await freePort();
  bed = await start({ files: { "gateway.yaml": all(CLASS, gateway("edge", web)) }, gateways: ["shop/edge"] });
  backends = {};
  for (const name of ["orders", "orders-v2", "by-hand", "legacy", "stock"]) backends[name] = await bed.echo(name);
  const known = ["orders", "orders-v2"].map((name) => service(name, backends[name].port));
  const text = all(...known, coreService("legacy", backends.legacy.port));
  const headers = { "content-type": "application/yaml" };
  const made = await bed.api("/api/v1/apply", { method: "POST", body: text, headers });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  chrome = await browser();
  tab = await page(chrome, bed);
});

after(async () => {
  await chrome?.close();
  await bed?.close();
});

const answers = (host, service, path = "/") =>
  until(`${host}${path} is answered by ${service}`, async () => {
    const { status, body } = await bed.curl(web, host, path);
    return status === 200 && body.service === service;
  });

async function connect(name, port) {
  await tab.open("/wizards/registry?ns=shop");
  await choose(tab, "Type", "Eureka");
  await tab.getByLabel("Name of the registry").fill(name);
  await tab.getByRole("textbox", { name: "Addresses" }).fill(`127.0.0.1:${port}`);
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /Registry/);
  await tab.getByText("What its addresses answer").waitFor();
}

test("publish a service that is known", async () => {
  await tab.open("/wizards/publish");
  await choose(tab, "A service that is known", "shop/orders");
  await choose(tab, "Gateway", "shop/edge");
  await tab.getByLabel("Hosts").fill("orders.test");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /HTTPRoute/, { reason: "orders go public" });
  await answers("orders.test", "orders");
  await tab.waitForURL(/\/routes\/httproutes\/shop\/orders/);
  const { body } = await bed.api("/api/v1/revisions");
  assert.equal(body.items[0].reason, "orders go public");
});

test("publish addresses that somebody types", async () => {
  await tab.open("/wizards/publish?ns=shop");
  await tab.getByText("Addresses that I type").click();
  await tab.getByLabel("Name of the service").fill("typed");
  await tab.getByRole("textbox", { name: "Addresses" }).fill(`127.0.0.1:${backends["by-hand"].port}`);
  await choose(tab, "Gateway", "shop/edge");
  await tab.getByLabel("Hosts").fill("typed.test");
  await tab.getByLabel("Name of the route").fill("typed");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /MeshService/);
  await answers("typed.test", "by-hand");
});

test("shift traffic: a second back end, then a part of the requests", async () => {
  await tab.open("/wizards/shift?route=shop/orders");
  await choose(tab, "New back end", "shop/orders-v2");
  await tab.getByRole("button", { name: "Add a back end" }).click();
  await tab.getByRole("textbox", { name: "Share of shop/orders-v2, in %" }).fill("30");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /weight/);
  await until("both answer", async () => {
    const by = {};
    for (let n = 0; n < 40; n += 1) {
      const { body } = await bed.curl(web, "orders.test");
      by[body.service] = (by[body.service] ?? 0) + 1;
    }
    // Of 40 draws at 30 %, none or all happen once in a million.
    return by.orders > 0 && by["orders-v2"] > 0;
  });
  const { body } = await bed.api("/api/v1/namespaces/shop/httproutes/orders");
  assert.deepEqual(body.spec.rules[0].backendRefs.map((one) => one.weight), [700, 300]);
});

const PROXIES = `apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: legacy, namespace: shop}
spec:
  virtualhost: {fqdn: legacy.test}
  routes:
  - conditions: [{prefix: /}]
    loadBalancerPolicy: {strategy: Cookie}
    rateLimitPolicy: {local: {requests: 10, unit: second}}
    services: [{name: legacy, port: 80}]
---
apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: old, namespace: shop}
spec:
  virtualhost: {fqdn: old.test}
  routes: [{services: [{name: legacy, port: 80}]}]
`;

test("import HTTPProxies: what is not kept is said, one of two is taken, and it is live", async () => {
  await tab.open("/import?ns=shop");
  await choose(tab, "Attach routes to", "shop/edge");
  await tab.getByRole("textbox", { name: "What to import" }).fill(PROXIES);
  await tab.getByRole("button", { name: "Convert" }).click();
  const report = tab.getByRole("region", { name: "What became of it" });
  await report.getByText("/spec/routes/0/rateLimitPolicy").waitFor();
  await report.getByText("not kept").first().waitFor();
  await tab.getByRole("switch", { name: "Only what is not the same" }).check();
  await report.getByText("kept", { exact: true }).first().waitFor({ state: "detached" });
  await tab.getByRole("checkbox", { name: "HTTPRoute shop/old" }).uncheck();
  await tab.getByText("1 of 2 documents").waitFor();
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /HTTPRoute/, { reason: "away from Contour" });
  await answers("legacy.test", "legacy", "/any");
  assert.equal((await bed.curl(web, "old.test")).status, 404);
  assert.equal((await bed.api("/api/v1/namespaces/shop/httproutes/old")).status, 404);
  await tab.locator("main").getByRole("link", { name: "shop/legacy" }).click();
  await tab.waitForURL(/\/routes\/httproutes\/shop\/legacy/);
});

test("what became of each part is said in Chinese, too", async () => {
  const zh = await page(chrome, bed, { locale: "zh", theme: "dark", width: 1280, height: 800 });
  await zh.open("/import?ns=shop");
  await zh.getByRole("textbox", { name: "要导入的内容" }).fill(PROXIES);
  await zh.getByRole("button", { name: "转换" }).click();
  await zh.getByText("使用代理 cookie 的会话;会话会重新开始一次").waitFor();
  await zh.getByText("后端 legacy:80,权重 1").first().waitFor();
  assert.equal(await zh.locator("main td [lang=en]").count(), 0, "no line is left in English");
  assert.deepEqual(await axe(zh), []);
  await zh.getByRole("heading", { name: "转换结果" }).evaluate((element) => element.scrollIntoView());
  await zh.screenshot({ path: `${SHOTS}import-report-dark-zh.png` });
  assert.deepEqual(zh.troubles, []);
});

test("import an Ingress from a file", async () => {
  await tab.open("/import?ns=shop&format=ingress");
  await choose(tab, "Attach routes to", "shop/edge");
  const buffer = Buffer.from(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: shop
  annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}
spec:
  rules:
  - host: ingress.test
    http:
      paths:
      - {path: /api, pathType: Prefix, backend: {service: {name: legacy, port: {number: 80}}}}
`);
  await tab.locator("input[type=file]").setInputFiles({ name: "shop.yaml", mimeType: "application/yaml", buffer });
  await tab.getByRole("button", { name: "Convert" }).click();
  await tab.getByRole("region", { name: "What became of it" }).getByText("kept").first().waitFor();
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /HTTPRoute/);
  await answers("ingress.test", "legacy", "/api/1");
  assert.equal((await bed.curl(web, "ingress.test", "/other")).status, 404);
});

test("import an OpenAPI document for a service that is known", async () => {
  await tab.open("/import?format=openapi");
  await tab.getByRole("textbox", { name: "What to import" }).fill(`openapi: 3.1.0
info: {title: Pay, version: '1'}
servers: [{url: 'https://pay.test/v1'}]
paths:
  /pay/{id}:
    get: {responses: {}}
`);
  await choose(tab, "Attach routes to", "shop/edge");
  await choose(tab, "Requests go to", "shop/orders");
  await tab.getByRole("button", { name: "Convert" }).click();
  await tab.getByRole("checkbox", { name: "HTTPRoute shop/pay" }).waitFor();
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /HTTPRoute/);
  await answers("pay.test", "orders", "/v1/pay/7");
  assert.equal((await bed.curl(web, "pay.test", "/v1/pay/7", "--request", "POST")).status, 404);
});

test("blue-green of two services: set up, flipped there and back", async () => {
  await tab.open("/wizards/blue-green?tab=setup");
  await choose(tab, "Blue", "shop/orders");
  await choose(tab, "Green", "shop/orders-v2");
  await choose(tab, "Edge gateway", "shop/edge");
  await tab.getByLabel("Hosts").fill("two.test");
  await tab.locator("main").getByRole("textbox", { name: "Namespace" }).fill("shop");
  await tab.getByLabel("Name of the route").fill("two");
  await tab.getByRole("button", { name: "Preview" }).click();
  await apply(tab, /HTTPRoute/);
  await answers("two.test", "orders");
  await tab.open("/wizards/blue-green");
  for (const name of ["orders-v2", "orders"]) {
    await tab.getByRole("button", { name: `Flip to ${name}`, exact: true }).click();
    await apply(tab, /weight/);
    await answers("two.test", name);
    for (let n = 0; n < 20; n += 1) assert.equal((await bed.curl(web, "two.test")).body.service, name);
  }
});

test("connect a registry: its addresses answer, and one of its services is published", async () => {
  const eureka = await eurekaServer({ stock: [backends.stock.port] });
  try {
    await connect("eureka", eureka.address().port);
    await tab.locator("main").getByText(/answers in/).first().waitFor();
    await until("its service is known", async () => (await bed.api("/api/v1/services?q=stock")).body.total === 1);
    await tab.open("/wizards/publish");
    await choose(tab, "A service that is known", "shop/stock");
    await choose(tab, "Gateway", "shop/edge");
    await tab.getByLabel("Hosts").fill("stock.test");
    await tab.getByRole("button", { name: "Preview" }).click();
    await apply(tab, /HTTPRoute/);
    await answers("stock.test", "stock");
  } finally {
    eureka.closeAllConnections();
    await new Promise((done) => eureka.close(done));
  }
});

test("connect a registry that does not answer: it says so", async () => {
  // Nobody is there: a registry that is lost must not look like one that is empty.
  const nobody = createServer((_, answer) => answer.writeHead(503).end());
  await new Promise((done) => nobody.listen(0, "127.0.0.1", done));
  const { port } = nobody.address();
  try {
    await connect("nobody", port);
    await tab.locator("main").getByText(/503/).first().waitFor();
  } finally {
    nobody.closeAllConnections();
    await new Promise((done) => nobody.close(done));
  }
});

test("nothing of it made the browser complain", () => assert.deepEqual(tab.troubles, []));
