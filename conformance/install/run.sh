#!/usr/bin/env bash
# The installation, judged by a real API server: the CRDs and their rules, the chart in several forms, the permissions one by
# one, the certificate, and the plain manifests run as pods. A minute or two with all built. Exit 1 if anything is not so.
#
#   ISTHMUS_BIN=/path/to/isthmus        judge this program; else it is built, in release form
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if [[ -z "${BED_KUBERNETES:-}" ]]; then
  if [[ -z "${ISTHMUS_BIN:-}" ]]; then
    cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
    ISTHMUS_BIN=${CARGO_TARGET_DIR:-$root/target}/release/isthmus
  fi
  ISTHMUS_BIN=$(realpath "$ISTHMUS_BIN")
  HELM=$("$root/conformance/lib/helm.sh")
  export ISTHMUS_BIN HELM
  exec "$root/conformance/kubernetes/bed.sh" --node node-a=zone-a --node node-b=zone-b --image "isthmus=$ISTHMUS_BIN" \
    --image "envoy=$("$root/conformance/lib/envoy.sh")" -- "${BASH_SOURCE[0]}"
fi

passed=0
work=$BED_WORK/install
mkdir -p "$work"

# check WHAT COMMAND...
check() {
  local what=$1
  shift
  if ! "$@" >"$work/said" 2>&1; then
    printf 'FAILED: %s\n' "$what" >&2
    cat "$work/said" >&2
    exit 1
  fi
  passed=$((passed + 1))
  printf 'ok: %s\n' "$what"
}
not() { ! "$@"; }
# Whatever its exit status is.
says() { grep -F -- "$1" <("${@:2}" 2>&1); }
eventually() {
  local end=$((SECONDS + $1))
  until "${@:2}"; do
    ((SECONDS < end)) || return 1
    sleep 0.2
  done
}

# --- definitions ---------------------------------------------------------------------------------------------------------
structural() { ! kubectl get crd -o json | grep -q NonStructuralSchema; }
check "the schemas are structural" structural
kubectl apply --server-side -f "$root/deploy/kubernetes/crds" >/dev/null
check "good samples are taken" kubectl apply --dry-run=server -f "$here/good.yaml"
for file in "$root"/deploy/kubernetes/examples/*.yaml; do
  [[ $file == */values-* ]] && continue
  kubectl create namespace shop --dry-run=client -o yaml | kubectl apply -f - >/dev/null
  check "the example ${file##*/} is taken" kubectl apply --dry-run=server -f "$file"
done
# One file for each document, named by its place; the words stand in its first lines.
csplit --quiet --prefix "$work/bad-" --suffix-format %02d.yaml "$here/bad.yaml" '/^---$/' '{*}'
for file in "$work"/bad-*.yaml; do
  words=$(sed -n 's/^# refused: //p' "$file")
  name=$(sed -n 's/^metadata: {name: \([^,]*\),.*/\1/p' "$file")
  check "refused ($name): $words" not kubectl apply --dry-run=server --validate=strict -f "$file"
  check "... in these words" grep -qF -- "$words" <(kubectl apply --dry-run=server --validate=strict -f "$file" 2>&1)
  check "... and by isthmus validate" not "$ISTHMUS_BIN" validate -f "$file"
done
kubectl apply -f "$here/good.yaml" >/dev/null
check "kubectl shows our columns" grep -q '^everywhere .*Percent' <(kubectl get msvc)
kubectl delete -f "$here/good.yaml" >/dev/null

# --- permissions ---------------------------------------------------------------------------------------------------------
as() { "$ISTHMUS_BIN" check --pre --kubeconfig "$@"; }
check "the ServiceAccount may do all that is needed" as "$ISTHMUS_KUBECONFIG"
check "... as somebody else can ask too" "$ISTHMUS_BIN" check --pre --service-account isthmus-system/isthmus
kubectl create clusterrole looker --verb=get,list,watch --resource=secrets,customresourcedefinitions.apiextensions.k8s.io >/dev/null
kubectl create serviceaccount looker >/dev/null
kubectl create clusterrolebinding looker --clusterrole=looker --serviceaccount=default:looker >/dev/null
looker() { "$ISTHMUS_BIN" check --pre --service-account default/looker; }
check "what another may not is named" says "not allowed: get, list, watch" looker
check "... and fails" not looker

# --- the chart -----------------------------------------------------------------------------------------------------------
chart() { "$HELM" template "$@" --kube-version 1.36.0; }
for namespace in shop pay; do
  kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
done
kubectl create namespace second >/dev/null
chart second "$root/deploy/helm/isthmus" --namespace second --values "$here/namespaced.yaml" >"$work/namespaced.yaml"
check "the chart for some namespaces only is taken" kubectl apply --server-side --validate=strict -f "$work/namespaced.yaml"
only() { "$ISTHMUS_BIN" check --pre -n second --service-account second/second "$@"; }
check "its ServiceAccount may do all that is needed there" only --namespaces shop,pay
check "... and nothing elsewhere" not only --namespaces shop,pay,default
kubectl delete -f "$work/namespaced.yaml" --wait=false >/dev/null
for mode in Auto CertManager Secret Disabled; do
  chart a "$root/deploy/helm/isthmus" --namespace default --set "xds.tls.mode=$mode" --set fleet.enabled=false \
    --set monitoring.podMonitor.enabled=true --set monitoring.prometheusRule.enabled=true >"$work/all.yaml"
  # Without the kinds of other projects, which are not in the bed.
  python3 - "$work/all.yaml" >"$work/$mode.yaml" <<'PY'
import sys
documents = open(sys.argv[1]).read().split("\n---\n")
print("\n---\n".join(d for d in documents if "monitoring.coreos.com" not in d and "cert-manager.io" not in d))
PY
  check "the chart with xds.tls.mode $mode is taken" kubectl apply --dry-run=server --validate=strict -f "$work/$mode.yaml"
done
check "a value that is misspelt is refused" not chart a "$root/deploy/helm/isthmus" --set replica=3
# --- the certificate -----------------------------------------------------------------------------------------------------
certificate() {
  "$ISTHMUS_BIN" certificate --kubeconfig "$ISTHMUS_KUBECONFIG" --secret isthmus-system/isthmus-xds \
    --dns isthmus-xds.isthmus-system.svc "$@"
}
two_at_once() {
  certificate & certificate
  wait "$!"
}
part() { kubectl get secret isthmus-xds --namespace isthmus-system -o "jsonpath={.data.${1/./\\.}}" | base64 -d; }
good() { openssl verify -CAfile <(part ca.crt) -verify_hostname "$1" <(part tls.crt); }
check "two replicas make one certificate" two_at_once
check "... that openssl takes" good isthmus-xds.isthmus-system.svc
ca=$(part ca.crt | sha256sum)
check "another start keeps it" says "kept" certificate
check "a new name renews it" says "renewed" certificate --dns other.example.com
check "... for that name" good other.example.com
same_ca() { [[ $(part ca.crt | sha256sum) == "$ca" ]]; }
check "... from the same CA" same_ca
kubectl delete secret isthmus-xds --namespace isthmus-system >/dev/null

# --- for real ------------------------------------------------------------------------------------------------------------
# What a person types. The bed has no DNS and no Service addresses, and none of it is needed for this part.
kubectl apply --server-side -f "$root/deploy/kubernetes/install.yaml" >/dev/null
check "two replicas become ready" kubectl rollout status deployment/isthmus --namespace isthmus-system --timeout 180s
class() { kubectl wait gatewayclass/isthmus --for condition=Accepted --timeout 1s; }
check "the GatewayClass is accepted" eventually 60 class
# Who asks is known by a token of the cluster, and may what it may there.
told() { says "told only to those who may see them" "$ISTHMUS_BIN" check; }
check "without a token isthmus check sees little" eventually 30 told
kubectl create serviceaccount boss >/dev/null
kubectl create clusterrolebinding boss --clusterrole=cluster-admin --serviceaccount=default:boss >/dev/null
as_boss() { ISTHMUS_TOKEN=$(kubectl create token boss) "$ISTHMUS_BIN" check; }
check "isthmus check finds all well" eventually 30 as_boss
as_looker() { ISTHMUS_TOKEN=$(kubectl create token looker) "$ISTHMUS_BIN" check; }
check "with the token of somebody who may see nothing it does not" says "told only to those who may see them" as_looker
check "... and with all" not says "told only to those who may see them" as_boss

# --- people are known to all replicas ------------------------------------------------------------------------------------
mapfile -t replicas < <(kubectl get pods --namespace isthmus-system -l app.kubernetes.io/name=isthmus \
  -o 'jsonpath={range .items[*]}{.status.podIP}{"\n"}{end}')
check "there are two replicas" test "${#replicas[@]}" -eq 2
# ask REPLICA PATH [CURL OPTIONS...]
ask() { curl --silent --max-time 10 "http://${replicas[$1]}:8080/api/v1/$2" "${@:3}"; }
status() { ask "$@" --output /dev/null --write-out '%{http_code}\n'; }
answers() { [[ $(status "${@:2}") == "$1" ]]; }
boss=$(kubectl create token boss)
check "all replicas have one key" eventually 30 kubectl get secret isthmus-access --namespace isthmus-system
ask 0 tokens --header "authorization: Bearer $boss" \
  --data '{"name":"ci","grants":[{"role":"viewer","namespaces":["*"]}]}' >"$work/token.json"
made=(--header "authorization: Bearer $(jq -r .token "$work/token.json")")
check "a token that one replica makes" answers 200 0 proxies "${made[@]}"
check "... is good at the other at once" answers 200 1 proxies "${made[@]}"
# login REPLICA TOKEN: the cookie, which is that of one name in a browser, and of any here.
login() {
  ask "$1" login --data "{\"token\":\"$2\"}" --output /dev/null --dump-header - |
    sed -n 's/^set-cookie: \(isthmus_session=[^;]*\);.*/\1/p'
}
session=$(login 0 "$(jq -r .token "$work/token.json")")
check "so is a session" answers 200 1 proxies --cookie "$session"
revoked=$(status 1 "tokens/$(jq -r .id "$work/token.json")" --request DELETE --header "authorization: Bearer $boss")
check "revoked at the other" test "$revoked" == 200
check "... it is not good any more there" answers 401 1 proxies "${made[@]}"
check "... nor where it was made" eventually 5 answers 401 0 proxies "${made[@]}"
check "... nor is the session" answers 401 0 proxies --cookie "$session"
session=$(login 1 "$boss")
check "somebody of the cluster logs in at one replica and is known at the other" answers 200 0 proxies --cookie "$session"

# --- proxies are known to all replicas -------------------------------------------------------------------------------------
kubectl apply -f - >/dev/null <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: isthmus
  listeners: [{name: http, port: 80, protocol: HTTP}]
YAML
as_token=(--header "authorization: Bearer $boss")
ids() { ask "$1" proxies "${as_token[@]}" | jq -r '.items[] | "\(.id | @uri) \(.replica)"' | sort; }
alike() { [[ -n $(ids 0) && $(ids 0) == $(ids 1) ]]; }
check "each replica shows the same proxies" eventually 90 alike
read -r proxy its < <(ids 0)
other=$(kubectl get pod "$its" --namespace isthmus-system -o 'jsonpath={.status.podIP}')
[[ ${replicas[0]} == "$other" ]] && other=1 || other=0
check "what one of them is to have is asked of the replica that it is not on" answers 200 "$other" "proxies/$proxy/config" "${as_token[@]}"
drained() { ask "$other" "proxies/$proxy/drain" --request POST "${as_token[@]}" | jq -e '.streams == 1'; }
check "... and so is that it is drained" drained
check "... after which it is there again" eventually 30 alike
check "nobody else is told what replicas tell each other" answers 401 0 replica "${as_token[@]}"
kubectl delete gateway edge --namespace shop --wait=false >/dev/null

shows() { kubectl get secret isthmus-access --namespace isthmus-system -o json | jq -r '.data[] | @base64d' | grep -qF -- "$1"; }
check "the Secret shows no cookie" not shows "${session#*=}"
check "... and no token of the cluster" not shows "$boss"
kubectl rollout restart deployment/isthmus --namespace isthmus-system >/dev/null
check "all replicas are replaced" kubectl rollout status deployment/isthmus --namespace isthmus-system --timeout 180s
mapfile -t replicas < <(kubectl get pods --namespace isthmus-system -l app.kubernetes.io/name=isthmus \
  --field-selector status.phase=Running -o json |
  jq -r '.items[] | select(.metadata.deletionTimestamp == null) | .status.podIP')
check "... which ends no session" eventually 30 answers 200 0 proxies --cookie "$session"
ask 0 logout --request POST --cookie "$session" --header 'sec-fetch-site: same-origin' >/dev/null
check "a logout does, at each of them" eventually 5 answers 401 1 proxies --cookie "$session"
# The program of an image has no place of its own in a pod of the bed, which has the machine's files.
link=$(kubectl exec --namespace isthmus-system deployment/isthmus --container isthmus -- \
  "$ISTHMUS_BIN" token admin-link --config /etc/isthmus/settings/isthmus.yaml)
by_link() { [[ $(curl --silent --output /dev/null --write-out '%{http_code}' "http://${replicas[$2]}:8080/${link#http://*/}") == "$1" ]]; }
check "a link for an admin leads in at any replica" by_link 303 1
check "... once" by_link 401 0
check "nothing is done that is not granted" not grep -riE "forbidden" <(kubectl logs --namespace isthmus-system deployment/isthmus --all-pods --prefix 2>&1)
kubectl delete -f "$root/deploy/kubernetes/install.yaml" --ignore-not-found >/dev/null
left() { kubectl get all,configmaps,roles,leases --namespace isthmus-system -o name 2>/dev/null | grep -v kube-root-ca; }
check "uninstalled, nothing is left" not left

# --- alarms --------------------------------------------------------------------------------------------------------------
# They speak of what is measured.
alarms() { grep -oE 'isthmus_[a-z_]+' "$root/deploy/helm/isthmus/files/alarms.yaml" | sort -u; }
for metric in $(alarms); do
  check "$metric is measured" grep -rqE "\b$metric\b" "$root/src" --include=*.rs
done

printf '%d passed, 0 failed\n' "$passed"
