#!/usr/bin/env bash
# What Isthmus writes into the status of objects, before a real API server. Run it in the bed:
#
#   cargo build -p isthmus
#   ISTHMUS_ENVOY=$(conformance/lib/envoy.sh) conformance/kubernetes/bed.sh --without-kubelet -- conformance/kubernetes/status.sh
#
#   ISTHMUS=/path/to/isthmus   use this one
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
isthmus=${ISTHMUS:-${CARGO_TARGET_DIR:-$root/target}/debug/isthmus}
envoy=${ISTHMUS_ENVOY:?the path of an Envoy}
work=$BED_WORK/status
mkdir -p "$work"
declare -A process=()

die() {
  echo "FAILED: $*" >&2
  tail -n 20 "$work"/*.log >&2 || true
  exit 1
}

stop_all() {
  for pid in "${process[@]}"; do kill "$pid" 2>/dev/null || true; done
}
trap stop_all EXIT

# until SECONDS WHAT COMMAND...: waits until the command succeeds.
until_true() {
  local seconds=$1 what=$2 deadline
  shift 2
  deadline=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || die "not within $seconds s: $what"
    sleep 0.2
  done
  echo "ok: $what"
}

# replica NAME XDS-PORT HTTP-PORT
replica() {
  env -u KUBECONFIG "$isthmus" serve --kubernetes --kubeconfig "$ISTHMUS_KUBECONFIG" --replica "$1" \
    --state-dir "$work/$1" --xds-listen "127.0.0.1:$2" --http-listen "127.0.0.1:$3" >"$work/$1.log" 2>&1 &
  process[$1]=$!
  until_true 20 "replica $1 is ready" curl -sf "127.0.0.1:$3/readyz"
}

# proxy NAME XDS-PORT: an Envoy for Gateway shop/edge.
proxy() {
  "$isthmus" bootstrap --role gateway --gateway shop/edge --node-id "$1" --xds "127.0.0.1:$2" \
    >"$work/$1.yaml"
  "$envoy" -c "$work/$1.yaml" --use-dynamic-base-id --log-level warning >"$work/$1.log" 2>&1 &
  process[$1]=$!
}

# condition RESOURCE JSONPATH-OF-CONDITIONS TYPE: "status reason observedGeneration"
condition() {
  kubectl -n shop get "$1" -o "jsonpath={$2[?(@.type==\"$3\")]['status','reason','observedGeneration']}"
}
programmed() { condition gateway/edge .status.conditions Programmed; }
is() { [[ "$("${@:2}")" == "$1" ]]; }
version_of() { kubectl -n shop get "$1" -o 'jsonpath={.metadata.resourceVersion}'; }
leader() { kubectl -n isthmus-system get lease isthmus-leader -o 'jsonpath={.spec.holderIdentity}'; }
leads() { [[ "$(leader)" == "$1"_* ]]; }
# Writes of statuses that any replica made.
writes() {
  local port sum=0 n
  for port in "$@"; do
    n=$(curl -sf "127.0.0.1:$port/metrics" | awk '/^isthmus_status_writes_total/ {sum += $2} END {print sum + 0}')
    sum=$((sum + n))
  done
  echo "$sum"
}

kubectl create namespace shop >/dev/null
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: isthmus}
spec: {controllerName: isthmus.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: isthmus
  listeners: [{name: http, port: 8000, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: edge}, {name: theirs}]
  rules: [{backendRefs: [{name: orders, port: 80}]}]
YAML

# Another controller has written its entry before us.
kubectl -n shop patch httproute orders --subresource status --type merge --field-manager other -p '
{"status": {"parents": [{"parentRef": {"name": "theirs"}, "controllerName": "example.com/other", "conditions": [
  {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "theirs", "observedGeneration": 1,
   "lastTransitionTime": "2020-01-01T00:00:00Z"}]}]}}' >/dev/null
theirs() {
  kubectl -n shop get httproute orders \
    -o 'jsonpath={.status.parents[?(@.controllerName=="example.com/other")].conditions[0].lastTransitionTime}'
}
ours() { condition httproute/orders '.status.parents[?(@.controllerName=="isthmus.dev/gateway-controller")].conditions' Accepted; }

replica a 18001 18081
until_true 10 "the first replica leads" leads a
replica b 18002 18082
until_true 20 "the class is accepted" kubectl wait --timeout 1s --for condition=Accepted gatewayclass isthmus
until_true 10 "a Gateway without proxies waits" is "False Pending 1" programmed
until_true 10 "a route is accepted" is "True Accepted 1" ours
is "2020-01-01T00:00:00Z" theirs || die "the entry of another controller is not what it was"
echo "ok: the entry of another controller is what it was"

proxy edge-1 18002
until_true 15 "a proxy of the replica that does not lead counts" is "True Programmed 1" programmed
until_true 10 "so does its listener" is "True Programmed 1" condition gateway/edge '.status.listeners[0].conditions' Programmed

before="$(version_of gateway/edge) $(version_of httproute/orders) $(writes 18081 18082)"
kubectl -n shop annotate service orders changed=1 >/dev/null
sleep 5 # the writes that must not come
[[ "$before" == "$(version_of gateway/edge) $(version_of httproute/orders) $(writes 18081 18082)" ]] ||
  die "written though nothing changed"
echo "ok: nothing is written where nothing changed"

was=$(kubectl -n shop get gateway edge -o 'jsonpath={.status.conditions[?(@.type=="Accepted")].lastTransitionTime}')
sleep 1.1 # another second, by which a time that was made anew would show
kubectl -n shop patch gateway edge --type merge -p '{"spec": {"listeners": [{"name": "http", "port": 8001, "protocol": "HTTP"}]}}' >/dev/null
until_true 15 "an edit is programmed" is "True Programmed 2" programmed
now=$(kubectl -n shop get gateway edge -o 'jsonpath={.status.conditions[?(@.type=="Accepted")].lastTransitionTime}')
[[ "$was" == "$now" ]] || die "the transition time of an unchanged condition moved from $was to $now"
echo "ok: a transition time moves only with its status"

kill -9 "${process[a]}"
until_true 25 "the other leads after the leader was killed" leads b
kubectl -n shop patch httproute orders --type merge -p '{"spec": {"hostnames": ["shop.example.com"]}}' >/dev/null
until_true 10 "and writes" is "True Accepted 2" ours
is "2020-01-01T00:00:00Z" theirs || die "the entry of another controller is not what it was"
is "True Programmed 2" programmed || die "what was programmed is not any more: $(programmed)"
echo "ok: what was programmed stays so"

for n in $(seq 1000); do
  cat <<YAML
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r$n, namespace: shop}
spec:
  parentRefs: [{name: edge}]
  hostnames: [r$n.example.com]
  rules: [{backendRefs: [{name: orders, port: 80}]}]
YAML
done >"$work/routes.yaml"
kill "${process[b]}"
wait "${process[b]}" || true
kubectl create -f "$work/routes.yaml" >/dev/null
started=$(date +%s%N) # the aim is 10 s, on cores that do nothing else
replica c 18002 18083
written() { (($(kubectl -n shop get httproute -o json | jq '[.items[] | select(.status.parents | length > 0)] | length') >= 1001)); }
until_true 120 "1,000 routes are written" written
echo "ok: after $((($(date +%s%N) - started) / 1000000)) ms from the start of the process, which took a Lease that was given back"
count=$(writes 18083)
((count <= 1010)) || die "$count writes for 1,000 routes"
echo "ok: $count writes"
