#!/usr/bin/env bash
# Judges injection before a real API server: which pods get a sidecar, whether it works, and what an outage of the webhook
# or a new certificate does to whom.
#
#   conformance/kubernetes/inject.sh        in a bed of its own; needs root, see README.md
#
# Prints a line for each check and ends with 1 if one failed. ISTHMUS_BIN=FILE is the program, else the debug build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if [[ ${1:-} != --inside ]]; then
  [[ -n ${ISTHMUS_BIN:-} ]] || cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  ISTHMUS=$(realpath "${ISTHMUS_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/isthmus}")
  export ISTHMUS
  kubernetes=$("$here/../lib/kubernetes.sh")
  # shellcheck source=conformance/lib/image.sh
  source "$here/../lib/image.sh"
  image=$(mktemp -d "${TMPDIR:-/tmp}/isthmus-image.XXXXXX")
  trap 'rm -rf "$image"' EXIT
  image "$image" "$kubernetes" isthmus "$ISTHMUS"
  "$here/bed.sh" ${INJECT_WORK:+--work "$INJECT_WORK"} --image "envoy=$("$here/../lib/envoy.sh")" --image "isthmus=$image" -- "$0" --inside
  exit
fi

failed=0
ok() { printf 'ok      %s\n' "$1"; }
bad() { printf 'FAILED  %s\n' "$1"; failed=1; }
# The rest of the line is a command; it is tried until it succeeds, for at most 60 s.
until_true() {
  local what=$1 deadline=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || { bad "$what"; return 0; }
    sleep 0.2
  done
  ok "$what"
}
check() { if "${@:2}" >/dev/null 2>&1; then ok "$1"; else bad "$1"; fi; }
is() { [[ $("${@:2}" 2>/dev/null) == "$1" ]]; }
not() { ! "$@"; }

pki=$BED_WORK/inject-pki
mkdir -p "$pki"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=isthmus -keyout "$pki/tls.key" -out "$pki/tls.csr" 2>/dev/null
openssl x509 -req -in "$pki/tls.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 2 \
  -extfile <(echo subjectAltName=IP:10.244.0.1) -out "$pki/tls.crt" 2>/dev/null

# As it is installed, but reached by its address: the API server of the bed knows no Services.
configuration=isthmus-system-isthmus-inject
kubectl create --dry-run=client -o json -f "$root/deploy/kubernetes/install.yaml" |
  jq '(.items // [.])[] | select(.kind == "MutatingWebhookConfiguration")
    | .webhooks |= map(.clientConfig = {url: "https://10.244.0.1:9443/inject"})' | kubectl apply -f - >/dev/null

serve() {
  "$ISTHMUS" serve --kubernetes --kubeconfig "$ISTHMUS_KUBECONFIG" --state-dir "$BED_WORK/state" --replica a \
    --xds-listen 10.244.0.1:18000 --xds-tls-cert "$pki/tls.crt" --xds-tls-key "$pki/tls.key" \
    --fleet-xds-address 10.244.0.1:18000 --fleet-xds-ca "$pki/ca.crt" --inject-image isthmus \
    --webhook-listen 10.244.0.1:9443 --webhook-names 10.244.0.1 --webhook-configuration "$configuration" \
    >>"$BED_WORK/logs/isthmus.log" 2>&1 &
  isthmus=$!
}
serve
trap 'kill "$isthmus" 2>/dev/null || true' EXIT

for name in shop plain; do kubectl create namespace "$name" >/dev/null; done
kubectl label namespace shop isthmus.dev/inject=enabled >/dev/null
account() { kubectl -n "$1" get serviceaccount default; }
until_true "namespaces have their ServiceAccounts" account shop
until_true "of both sorts" account plain

# What would come of a pod: NAMESPACE [LABELS [MORE OF THE SPEC [ANNOTATIONS]]]
pod() {
  local labels=${2:-'{}'} more=${3:-'{}'} annotations=${4:-'{}'}
  jq -n --argjson labels "$labels" --argjson more "$more" --argjson annotations "$annotations" \
    '{apiVersion: "v1", kind: "Pod", metadata: {name: "trial", labels: $labels, annotations: $annotations},
      spec: ({containers: [{name: "app", image: "app"}]} + $more)}' | kubectl -n "$1" create --dry-run=server -o json -f -
}
names() { pod "$@" | jq -r '[.spec.initContainers[]?.name] | join(" ")'; }
with="isthmus-capture isthmus-proxy"

echo "-- which pods"
until_true "in a namespace that opted in" is "$with" names shop
check "not in another" is "" names plain
check "not one that opts out" is "" names shop '{"isthmus.dev/inject": "false"}'
check "one that opts in by itself" is "$with" names plain '{"isthmus.dev/inject": "enabled"}'
check "not one on the node's network" is "" names shop '{}' '{"hostNetwork": true}'
reason() { pod shop '{}' '{"hostNetwork": true}' | jq -r '.metadata.annotations["isthmus.dev/not-injected"]' | grep hostNetwork; }
check "which says why" reason
mistake() { { pod shop '{}' '{}' '{"isthmus.dev/dns": "maybe"}' 2>&1 || true; } | grep ISM2202; }
check "a mistake is refused with its code" mistake
warned() { pod shop '{}' '{"containers": [{"name": "a", "image": "a", "livenessProbe": {"httpGet": {"port": "no"}}}]}' 2>&1 | grep "Warning: ISM2203"; }
check "what stays as it is is warned of" warned

echo "-- a workload"
kubectl -n shop apply -f - >/dev/null <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      securityContext: {runAsUser: 1000, runAsNonRoot: true}
      containers:
        - name: echo
          image: registry.k8s.io/gateway-api/echo-basic:v1.5.1
          env:
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
            - {name: HTTP_PORT, value: "3000"}
          ports: [{name: http, containerPort: 3000}]
          readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1}
          livenessProbe: {tcpSocket: {port: 3000}, periodSeconds: 2, failureThreshold: 15}
YAML
available() { is 1 kubectl -n shop get deployment echo -o 'jsonpath={.status.availableReplicas}'; }
until_true "it becomes available, its probes answered by the sidecar" available
[[ $failed == 0 ]] || { kubectl -n shop get pods -o yaml; tail -n 5 "$BED_WORK"/logs/pods/*; exit 1; } >&2
address=$(kubectl -n shop get pods -l app=echo -o 'jsonpath={.items[0].status.podIP}')
called() { curl -sS -m 2 "http://$address:3000/"; }
check "it is called by its address" called
by_envoy() { curl -sS -m 2 "http://$address:15090/stats/prometheus" | grep '^envoy_listener_downstream_cx_total{.*15006' | grep -v ' 0$'; }
check "through the sidecar" by_envoy
probe() { is "$1" curl -sS -m 2 -o /dev/null -w '%{http_code}' "http://$address:15020/app-health/echo/$2"; }
check "the probe by HTTP" probe 200 readyz
until_true "the probe by TCP" probe 200 livez
check "no other" probe 404 startupz
user() { kubectl -n shop get pods -l app=echo -o 'jsonpath={.items[0].status.initContainerStatuses[*].name}'; }
check "both containers are there" is "$with" user

echo "-- by hand"
template() { jq -r '.metadata.annotations["isthmus.dev/template"]'; }
by_hand() {
  kubectl -n shop get pod -l app=echo -o json | jq '.items[0] | {apiVersion: "v1", kind: "Pod", metadata: {name: "by-hand", labels: {app: "echo"}}, spec: {containers: [.spec.containers[0] | {name, image}]}}' |
    "$ISTHMUS" inject --image isthmus -f - >"$BED_WORK/by-hand.json"
  is "$with" bash -c "kubectl -n shop create --dry-run=server -o json -f '$BED_WORK/by-hand.json' | jq -r '[.spec.initContainers[]?.name] | join(\" \")'"
}
check "a pod that has its sidecar already gets no second one" by_hand

echo "-- a new certificate"
serial() { kubectl -n isthmus-system get secret isthmus-webhook -o 'jsonpath={.data.ca\.crt}'; }
before=$(serial)
rm -f "$BED_WORK/enough"
(
  while [[ ! -e "$BED_WORK/enough" ]]; do
    if [[ $(names shop) == "$with" ]]; then echo ok; else echo failed; fi
    sleep 0.1
  done
) >"$BED_WORK/admissions" 2>"$BED_WORK/admission-errors" &
load=$!
# more NUMBER: so many pods more than now have been asked for.
admissions() { wc -l <"$BED_WORK/admissions"; }
more() { local wanted=$(($(admissions) + $1)); until_true "$1 more pods" asked "$wanted"; }
asked() { (($(admissions) >= $1)); }
more 3
kubectl -n isthmus-system delete secret isthmus-webhook >/dev/null
renewed() { local now; now=$(serial) && [[ -n $now && $now != "$before" ]]; }
until_true "it is made anew where it was deleted" renewed
shown() {
  serial | base64 -d >"$BED_WORK/new-ca.crt"
  echo | openssl s_client -connect 10.244.0.1:9443 -CAfile "$BED_WORK/new-ca.crt" -verify_return_error 2>/dev/null | grep 'Verify return code: 0'
}
until_true "it is in use" shown
until_true "and pods have their sidecar" is "$with" names shop
more 5
touch "$BED_WORK/enough"
wait "$load"
lost=$(grep -c failed "$BED_WORK/admissions" || true)
((lost == 0)) && ok "all along ($(admissions) pods)" || bad "all along: $lost of $(admissions) failed: $(head -3 "$BED_WORK/admission-errors")"

echo "-- what sidecars share"
data() { kubectl -n shop get configmap isthmus-sidecar -o json | jq -r '.data["ca.crt"]'; }
kubectl -n shop patch configmap isthmus-sidecar --type=merge -p '{"data":{"ca.crt":"none"}}' >/dev/null
until_true "is put right" is "$(cat "$pki/ca.crt")" data

echo "-- an outage"
kill -KILL "$isthmus" && wait "$isthmus" 2>/dev/null || true
refused() { { pod shop 2>&1 || true; } | grep 'failed calling webhook'; }
check "no new pods in a namespace that opted in" refused
check "they are in others" is "" names plain
check "and in the system's" is "" names kube-system
check "and where they opt out" is "" names shop '{"isthmus.dev/inject": "false"}'
check "what runs goes on" called
serve
until_true "and after it they are again" is "$with" names shop

echo "-- the end"
ended() { kubectl -n shop delete deployment echo --cascade=foreground --wait --timeout=40s && is "" kubectl -n shop get pods -l app=echo -o name; }
check "a pod ends with its sidecar" ended

exit "$failed"
