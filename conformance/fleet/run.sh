#!/usr/bin/env bash
# Judges the fleets of Gateways against a real API server: what is made, what stays, who may ask for what, what is left.
#
#   conformance/fleet/run.sh          runs all of it in a bed of its own; needs root, see ../kubernetes/README.md
#
# Prints a line for each check and ends with 1 if one failed. ISTHMUS_BIN=FILE is the program, else the debug build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if [[ ${1:-} != --inside ]]; then
  [[ -n ${ISTHMUS_BIN:-} ]] || cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  ISTHMUS=$(realpath "${ISTHMUS_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/isthmus}")
  export ISTHMUS
  exec "$here/../kubernetes/bed.sh" ${FLEET_WORK:+--work "$FLEET_WORK"} --image "envoy=$("$here/../lib/envoy.sh")" -- "$0" --inside
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
is() { [[ $("${@:2}" 2>/dev/null) == "$1" ]]; }
has() { "${@:2}" 2>/dev/null | grep -q -- "$1"; }
not() { ! "$@"; }
k() { kubectl -n shop "$@"; }
path() { k get "$1" -o "jsonpath=$2"; }
findings() { curl -sS http://127.0.0.1:8080/api/v1/findings; }
status_of() { path gateway/edge "{.status.conditions[?(@.type==\"$1\")].$2}"; }

# TLS, so that a CA has to reach the pods, and one that can be replaced.
pki=$BED_WORK/fleet-pki
mkdir -p "$pki"
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
    -keyout "$pki/$1.key" -out "$pki/$1.crt" 2>/dev/null
}
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=isthmus -keyout "$pki/new.key" \
    -out "$pki/new.csr" 2>/dev/null
  openssl x509 -req -in "$pki/new.csr" -CA "$pki/$1.crt" -CAkey "$pki/$1.key" -CAcreateserial -days 2 \
    -extfile <(echo subjectAltName=IP:10.244.0.1) -out "$pki/new.crt" 2>/dev/null
  mv "$pki/new.key" "$pki/tls.key" && mv "$pki/new.crt" "$pki/tls.crt"
}
authority one
authority two
certificate one
cp "$pki/one.crt" "$pki/ca.crt"

serve() {
  "$ISTHMUS" serve --kubernetes --kubeconfig "$ISTHMUS_KUBECONFIG" --state-dir "$BED_WORK/state-$1" --replica "$1" \
    --xds-listen "10.244.0.1:$2" --http-listen "127.0.0.1:$3" --xds-tls-cert "$pki/tls.crt" --xds-tls-key "$pki/tls.key" \
    --fleet-xds-address 10.244.0.1:18000 --fleet-xds-ca "$pki/ca.crt" --xds-max-connection-age "${AGE:-0s}" \
    >>"$BED_WORK/logs/isthmus-$1.log" 2>&1 &
}
AGE=3s serve a 18000 8080
isthmus=$!
trap 'kill "$isthmus" 2>/dev/null || true' EXIT

kubectl create namespace shop >/dev/null
kubectl apply -f "$here/documents.yaml" >/dev/null
echo "-- made"
until_true "the Gateway is programmed" is True status_of Programmed status
same_address() { is "$(path svc/edge-isthmus '{.status.loadBalancer.ingress[0].ip}')" path gateway/edge '{.status.addresses[0].value}'; }
until_true "it has the address of its Service" same_address
address=$(path svc/edge-isthmus '{.status.loadBalancer.ingress[0].ip}')
answers() { is 200 curl -sS -m 2 -o /dev/null -w '%{http_code}' "http://$address/"; }
until_true "requests reach the back end" answers
until_true "all pods are ready" is 2 path deploy/edge-isthmus '{.status.availableReplicas}'
made=$(k get deploy,svc,sa,cm,pdb -l app.kubernetes.io/managed-by=isthmus -o name | sort)
is "$(wc -l <<<"$made")" echo 5 && ok "five objects" || bad "five objects: $made"

echo "-- credentials"
token() { k create token "$1" --audience "$2"; }
asked() {
  local what=$1 want=$2 got
  got=$(ISTHMUS_TOKEN=$4 python3 "$here/ask.py" 10.244.0.1:18000 "$pki/ca.crt" "$3")
  [[ $got == "$want" ]] && ok "$what" || bad "$what: $got"
}
own=$(token edge-isthmus isthmus)
asked "its own configuration" served shop/edge "$own"
asked "not that of another Gateway" PERMISSION_DENIED shop/other "$own"
asked "not as another ServiceAccount" PERMISSION_DENIED shop/edge "$(token default isthmus)"
asked "not with a token for another audience" UNAUTHENTICATED shop/edge "$(token edge-isthmus other)"
asked "not without a token" UNAUTHENTICATED shop/edge ""
grep -q "$own" "$BED_WORK/logs/isthmus-a.log" && bad "no token in the log" || ok "no token in the log"

echo "-- edited by hand"
k scale deploy/edge-isthmus --replicas=3 >/dev/null
until_true "three pods" is 3 path deploy/edge-isthmus '{.status.availableReplicas}'
k patch gateway edge --type=merge -p '{"spec":{"infrastructure":{"labels":{"team":"blue"}}}}' >/dev/null
until_true "a label of the Gateway reaches the Deployment" is blue path deploy/edge-isthmus '{.metadata.labels.team}'
is 3 path deploy/edge-isthmus '{.spec.replicas}' && ok "the number of replicas stays as it was set" || bad "the number of replicas stays"
until_true "and it is said" has ISM1604 findings
k delete svc edge-isthmus >/dev/null
until_true "what is deleted comes back" path svc/edge-isthmus '{.spec.ports[0].port}'
address=''
found() { address=$(path svc/edge-isthmus '{.status.loadBalancer.ingress[0].ip}') && [[ -n $address ]] && answers; }
until_true "and serves" found

echo "-- a rolling update under load"
python3 "$here/load.py" "http://$address/" "$BED_WORK/load" &
load=$!
generation=$(path deploy/edge-isthmus '{.status.observedGeneration}')
k patch gatewayconfig edge --type=merge -p '{"spec":{"envoy":{"logLevel":"info"}}}' >/dev/null
until_true "the Deployment is another one" is info bash -c "kubectl -n shop get deploy edge-isthmus -o json | jq -r '.spec.template.spec.containers[0].args[5]'"
rolled() { k rollout status deploy/edge-isthmus --timeout=1s; }
for _ in 1 2; do until_true "all pods are new" rolled; done
gone() { is 3 bash -c "kubectl -n shop get pods -l gateway.networking.k8s.io/gateway-name=edge -o name | wc -l"; }
until_true "the old pods are gone" gone
kill "$load"
wait "$load" || true
read -r requests failures <"$BED_WORK/load"
((requests > 1000 && failures == 0)) && ok "$requests requests, none failed" || bad "$requests requests, $failures failed"

echo "-- a new CA"
cat "$pki/one.crt" "$pki/two.crt" >"$pki/both.crt"
mv "$pki/both.crt" "$pki/ca.crt"
until_true "reaches the ConfigMap" is 2 bash -c "kubectl -n shop get cm edge-isthmus -o json | jq -r '.data[\"ca.crt\"]' | grep -c BEGIN"
restarts=$(k get pods -l gateway.networking.k8s.io/gateway-name=edge -o jsonpath='{.items[*].metadata.name}')
mounted() {
  local file
  for file in $(find "$BED_WORK/pods" -path '*edge-isthmus*' -name ca.crt); do
    [[ $(grep -c BEGIN "$file") == 2 ]] || return 1
  done
}
until_true "and the pods" mounted
# Connections are 3 s old at most.
certificate two
since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
anew() { is 3 bash -c "curl -sS http://127.0.0.1:8080/api/v1/proxies | jq '[.items[] | select(.scope == \"shop/edge\" and .connectedAt > \"$since\")] | length'"; }
until_true "proxies come back to the new certificate" anew
since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
until_true "and again" anew
is "$restarts" k get pods -l gateway.networking.k8s.io/gateway-name=edge -o 'jsonpath={.items[*].metadata.name}' && ok "without a restart" || bad "without a restart"

echo "-- permissions"
kubectl get clusterrole isthmus-system-isthmus -o json >"$BED_WORK/role.json"
jq 'del(.rules[] | select(.resources | index("deployments")) )' "$BED_WORK/role.json" | kubectl replace -f - >/dev/null
k patch gatewayconfig edge --type=merge -p '{"spec":{"envoy":{"logLevel":"warn"}}}' >/dev/null
until_true "a missing one is named" has 'no permission to patch deployments\|deployments of all namespaces cannot be watched' findings
answers && ok "what runs goes on" || bad "what runs goes on"
jq 'del(.metadata.resourceVersion, .metadata.uid)' "$BED_WORK/role.json" | kubectl replace -f - >/dev/null
until_true "given back, the write is done" is warn bash -c "kubectl -n shop get deploy edge-isthmus -o json | jq -r '.spec.template.spec.containers[0].args[5]'"
until_true "and nothing is said any more" not has 'ISM1602' findings

echo "-- autoscaling, DaemonSet"
k patch gatewayconfig edge --type=merge -p '{"spec":{"replicas":null,"autoscaling":{"min":1,"max":5}}}' >/dev/null
until_true "an autoscaler" path hpa/edge-isthmus '{.spec.maxReplicas}'
is 3 path deploy/edge-isthmus '{.spec.replicas}' && ok "which finds the number of replicas as it was" || bad "replicas: $(path deploy/edge-isthmus '{.spec.replicas}')"
k patch gatewayconfig edge --type=merge -p '{"spec":{"autoscaling":null,"kind":"DaemonSet"}}' >/dev/null
until_true "a DaemonSet" is 1 path ds/edge-isthmus '{.status.numberAvailable}'
until_true "in place of the Deployment" not k get deploy edge-isthmus
until_true "without autoscaler" not k get hpa edge-isthmus
until_true "it serves" answers

echo "-- removed"
k patch gatewayconfig edge --type=merge -p '{"spec":{"mode":"External"}}' >/dev/null
nothing() { is "" k get deploy,ds,svc,sa,cm,pdb,hpa -l app.kubernetes.io/managed-by=isthmus -o name; }
until_true "mode External leaves nothing" nothing
k patch gatewayconfig edge --type=merge -p '{"spec":{"mode":"Managed"}}' >/dev/null
until_true "Managed makes it anew" is True status_of Programmed status
k delete gateway edge >/dev/null
until_true "without the Gateway there is nothing" nothing

exit "$failed"
