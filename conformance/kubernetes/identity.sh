#!/usr/bin/env bash
# Who gets which certificate, and where the CA is kept, before a real API server.
#
#   conformance/kubernetes/identity.sh      runs all of it in a bed of its own; needs root, see README.md
#
# Prints a line for each check and ends with 1 if one failed. ISTHMUS_BIN=FILE is the program, else the debug build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if [[ ${1:-} != --inside ]]; then
  [[ -n ${ISTHMUS_BIN:-} ]] || cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  ISTHMUS=$(realpath "${ISTHMUS_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/isthmus}")
  export ISTHMUS
  exec "$here/bed.sh" --without-kubelet ${IDENTITY_WORK:+--work "$IDENTITY_WORK"} -- "$0" --inside
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
k() { kubectl -n shop "$@"; }

pki=$BED_WORK/identity-pki
mkdir -p "$pki"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=isthmus \
  -addext subjectAltName=IP:127.0.0.1 -keyout "$pki/tls.key" -out "$pki/tls.crt" 2>/dev/null

declare -A pids=()
# replica NAME XDS-PORT HTTP-PORT
replica() {
  env -u KUBECONFIG "$ISTHMUS" serve --kubernetes --kubeconfig "$ISTHMUS_KUBECONFIG" --replica "$1" \
    --state-dir "$BED_WORK/state-$1" --xds-listen "127.0.0.1:$2" --http-listen "127.0.0.1:$3" \
    --xds-tls-cert "$pki/tls.crt" --xds-tls-key "$pki/tls.key" >>"$BED_WORK/logs/isthmus-$1.log" 2>&1 &
  pids[$1]=$!
}
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done' EXIT

kubectl create namespace shop >/dev/null
k create serviceaccount orders >/dev/null
k create serviceaccount basket >/dev/null
k apply -f - >/dev/null <<PODS
{apiVersion: v1, kind: List, items: [
  {apiVersion: v1, kind: Pod, metadata: {name: orders-1},
   spec: {serviceAccountName: orders, containers: [{name: app, image: app}]}},
  {apiVersion: v1, kind: Pod, metadata: {name: orders-2},
   spec: {serviceAccountName: orders, containers: [{name: app, image: app}]}}]}
PODS

echo "-- the CA"
replica a 18000 8080
replica b 18001 8081
for port in 8080 8081; do until_true "$port is ready" curl -sf "127.0.0.1:$port/readyz"; done
of() { "$ISTHMUS" identity show --server "http://127.0.0.1:$1" -o json | jq -r "$2"; }
ca() { kubectl -n isthmus-system get secret isthmus-ca -o json; }
until_true "it is in a Secret" ca
entries() { ca | jq -r '.data | keys | join(" ")'; }
is "ca.crt ca.key since trust-domain" entries && ok "with one root" || bad "with one root: $(entries)"
same() { local a b; a=$(of 8080 '.roots[].fingerprint') && b=$(of 8081 '.roots[].fingerprint') && [[ -n $a && $a == "$b" ]]; }
until_true "both replicas have the same" same
first=$(of 8080 '.roots[0].fingerprint')

echo "-- who is who"
token() { k create token "$1" --audience "${2:-isthmus}" "${@:3}"; }
claim() { printf '{"role": "sidecar", "namespace": "shop", "account": "%s", "pod": "%s"}' "$1" "$2"; }
port=18000
# asked WHAT WANTED METADATA TOKEN
asked() {
  local got
  got=$(ISTHMUS_TOKEN=$4 python3 "$here/sidecar.py" "127.0.0.1:$port" "$pki/tls.crt" "$3")
  [[ $got == "$2" ]] && ok "$1" || bad "$1: $got"
}
id=spiffe://cluster.local/ns/shop/sa/orders
bound=$(token orders isthmus --bound-object-kind Pod --bound-object-name orders-1)
asked "its own account" "$id" "$(claim orders orders-1)" "$bound"
asked "a token of no pod" "$id" "$(claim orders orders-1)" "$(token orders)"
asked "not another pod" PERMISSION_DENIED "$(claim orders orders-2)" "$bound"
asked "not with the token of another ServiceAccount" PERMISSION_DENIED "$(claim orders orders-1)" "$(token basket)"
asked "not with a token for another audience" UNAUTHENTICATED "$(claim orders orders-1)" "$(token orders elsewhere)"
asked "not without a token" UNAUTHENTICATED "$(claim orders orders-1)" ""
# Signed by the API server's own key, and over.
base64url() { basenc --base64url -w 0 | tr -d =; }
key=$(find "$BED_WORK" -name accounts.key | head -n 1)
part() {
  cut -d. -f"$1" <<<"$bound" |
    python3 -c 'import base64, sys; t = sys.stdin.read().strip(); sys.stdout.buffer.write(base64.urlsafe_b64decode(t + "=" * (-len(t) % 4)))'
}
kid=$(part 1 | jq -r .kid)
claims=$(part 2)
sign() {
  local signed
  signed=$(printf '{"alg":"RS256","kid":"%s"}' "$kid" | base64url).$(jq -c "$1" <<<"$claims" | tr -d '\n' | base64url)
  printf '%s.%s' "$signed" "$(printf '%s' "$signed" | openssl dgst -sha256 -sign "$key" -binary | base64url)"
}
asked "a token that is signed so" "$id" "$(claim orders orders-1)" "$(sign '.jti = "judge"')"
asked "not with one that has expired" UNAUTHENTICATED "$(claim orders orders-1)" \
  "$(sign '.exp = (now | floor) - 60 | .iat = .exp - 600 | .nbf = .iat')"
k delete pod orders-1 --grace-period 0 --force >/dev/null 2>&1
# The API server itself remembers its answer for a moment.
invalid() {
  jq -n --arg token "$bound" '{apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: {token: $token, audiences: ["isthmus"]}}' |
    kubectl create -o json -f - | jq -e '.status.authenticated != true'
}
until_true "the pod is gone" invalid
port=18001
asked "not once the pod is gone (asked at the other replica)" UNAUTHENTICATED "$(claim orders orders-1)" "$bound"
port=18000
certificates() { of 8080 .identities; }
is 1 certificates && ok "one certificate was made" || bad "certificates: $(certificates)"

echo "-- another root, asked for at a replica that may not lead"
"$ISTHMUS" identity rotate --server http://127.0.0.1:8081 >/dev/null && ok "it begins" || bad "it begins"
"$ISTHMUS" identity rotate --server http://127.0.0.1:8081 >/dev/null 2>&1 && bad "one at a time" || ok "one at a time"
# On a slow machine the new one signs already.
entries | grep -Eq 'next.crt next.key|old.crt' && ok "one is kept beside the other" || bad "one is kept beside the other: $(entries)"
until_true "both replicas know both" is 22 bash -c "for p in 8080 8081; do '$ISTHMUS' identity show --server http://127.0.0.1:\$p -o json | jq -j '.roots | length'; done"
settled() { is "ca.crt ca.key since trust-domain" entries && same && [[ $(of 8081 '.phase') == settled ]]; }
until_true "the old one is gone" settled
[[ $(of 8080 '.roots[0].fingerprint') != "$first" ]] && ok "it is another one" || bad "it is the same"
last=$(of 8080 '.roots[0].fingerprint')

echo "-- what is lost and comes back"
kubectl -n isthmus-system delete secret isthmus-ca >/dev/null
until_true "a Secret that is deleted is written again" is "ca.crt ca.key since trust-domain" entries
[[ $(of 8080 '.roots[0].fingerprint') == "$last" ]] && ok "with the same root" || bad "with the same root"
kill "${pids[a]}"
wait "${pids[a]}" || true
kill "$(cat "$BED_WORK/apiserver.pid")"
replica a 18000 8080
known() { is "$last" of 8080 '.roots[0].fingerprint'; }
until_true "a start while the API server is away knows the root" known
grep -rlE "PRIVATE KEY" "$BED_WORK"/state-* "$BED_WORK"/logs/isthmus-* >/dev/null 2>&1 && bad "no key on disk or in a log" || ok "no key on disk or in a log"
exit "$failed"
