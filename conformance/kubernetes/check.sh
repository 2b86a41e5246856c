#!/usr/bin/env bash
# Whether the bed does what its judges rely on: pods with volumes, tokens, init containers, hooks and probes; restarts; logs;
# load balancers; a rolling update without a failed request; names, users, sidecars, both families, `kubectl exec`; nothing left
# behind. A minute with all built. Exit 1 if not.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ -z "${BED_KUBERNETES:-}" ]]; then
  envoy=$("$here/../lib/envoy.sh")
  echo=$("$here/../lib/echo-advanced.sh")
  kubernetes=$("$here/../lib/kubernetes.sh")
  # shellcheck source=conformance/lib/image.sh
  source "$here/../lib/image.sh"
  tools=$(mktemp -d "${TMPDIR:-/tmp}/isthmus-tools.XXXXXX")
  trap 'rm -rf "$tools"' EXIT
  image "$tools" "$kubernetes" nft "$kubernetes/nft"
  "$here/bed.sh" --node node-a=zone-a --node node-b=zone-b --image "envoy=$envoy" --image "echo-advanced=$echo" --image "tools=$tools" \
    -- "${BASH_SOURCE[0]}"
  exit
fi

passed=0
# check WHAT COMMAND...
check() {
  local what=$1
  shift
  if ! "$@"; then
    printf 'FAILED: %s\n' "$what" >&2
    kubectl get pods,services,endpointslices --output wide >&2 || true
    tail -n 30 "$BED_WORK/logs/kubelet.log" >&2
    exit 1
  fi
  passed=$((passed + 1))
  printf 'ok: %s\n' "$what"
}

# eventually COMMAND...: within 20 s.
eventually() {
  local end=$((SECONDS + 20))
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}
is() { [[ "$1" == "$2" ]]; }
field() { kubectl get "$1" --output "jsonpath=$2"; }
ask() { curl --silent --max-time 3 "$@"; }
refused() { local status=0 && ask --output /dev/null "$1" || status=$?; ((status == 7)); }

kubectl apply --filename "$here/check.yaml" >/dev/null
check "a Deployment with init container, probes and volumes becomes ready" kubectl rollout status deployment/edge --timeout 60s
pods() { kubectl get pods --selector app=edge --field-selector status.phase=Running --output "jsonpath={.items[*].$1}"; }
check "its pods are spread over the nodes" is "$(pods spec.nodeName | tr ' ' '\n' | sort -u | wc -l)" 2
check "zones are in its endpoints" grep -q zone-b <<<"$(kubectl get endpointslices --output yaml)"

log() { kubectl logs deployment/edge --container first 2>/dev/null; }
check "a log is read through the API server" grep -q "^audience isthmus" <<<"$(log)"
check "the cluster's certificate is where programs look for it" grep -q "BEGIN CERTIFICATE" <<<"$(log)"

address=$(field service/edge '{.status.loadBalancer.ingress[0].ip}')
answers() { for _ in $(seq 20); do ask "http://$address" && echo; done | sort -u | wc -l; }
check "a load balancer leads to all ready pods" is "$(answers)" 2
check "what no Service serves is refused" refused "http://$address:82"
# From a pod to its own kind, by way of the load balancer.
inside=$(basename "$(ip netns list | head -1 | cut -d' ' -f1)")
check "a pod reaches a load balancer" grep -q edge <<<"$(ip netns exec "$inside" curl --silent --max-time 3 "http://$address")"
asked() { is "$(field service/asked '{.status.loadBalancer.ingress[0].ip}')" 10.244.1.250; }
check "an address that is asked for is given" eventually asked
check "an address that cannot be had is not" is "$(field service/unusable '{.status.loadBalancer.ingress}')" ""

uid=$(kubectl get pods --selector app=edge --output 'jsonpath={.items[0].metadata.uid}')
kubectl patch secret word --patch '{"stringData":{"word":"two"}}' >/dev/null
changed() { is "$(cat "$BED_WORK/pods/$uid/volumes/word/word")" two; }
check "a changed Secret is seen by a running pod" eventually changed

kill -KILL "$(pgrep -x envoy | head -1)"
restarted() { grep -q 1 <<<"$(pods 'status.containerStatuses[0].restartCount')"; }
check "what dies is started again" eventually restarted
check "and becomes ready" kubectl rollout status deployment/edge --timeout 30s
kubectl wait --for condition=Ready --timeout 30s pod --selector app=edge >/dev/null

load() { while [[ ! -e "$BED_WORK/enough" ]]; do ask --output /dev/null "http://$address" && echo ok || echo failed; done >"$BED_WORK/load"; }
load &
old=$(kubectl get pods --selector app=edge --output name)
kubectl rollout restart deployment/edge >/dev/null
kubectl rollout status deployment/edge --timeout 60s >/dev/null
# shellcheck disable=SC2086
kubectl wait --for delete --timeout 30s $old >/dev/null
touch "$BED_WORK/enough"
wait $!
check "a rolling update fails no request ($(grep -c ok "$BED_WORK/load") asked)" is "$(grep -c failed "$BED_WORK/load")" 0

kubectl apply --filename "$here/sidecar.yaml" >/dev/null
check "an application with a sidecar and captured traffic becomes ready" kubectl rollout status deployment/echo --timeout 60s
inside() { kubectl exec deployment/echo --container "$1" "${@:2}"; }
call() { inside echo -- client "$1" 2>&1; }
pod=$(kubectl get pods --selector app=echo --output 'jsonpath={.items[0].metadata.name}')
# passes URL: it is answered by the pod, and the sidecar was in the way.
passes() {
  local answer
  answer=$(call "$1") && grep -q "Hostname=$pod" <<<"$answer" && grep -qi "ResponseHeader=X-Sidecar:passed" <<<"$answer" || { echo "$answer" && false; }
}
check "a Service is called by its name, through the sidecar" passes http://echo:8080/
check "and by its full name" passes http://echo.default.svc.cluster.local:8080/
check "and one without an address" passes http://headless:8080/
check "and by each of its addresses" passes "http://$(field service/echo '{.spec.clusterIPs[0]}'):8080/"
check "of both families" passes "http://[$(field service/echo '{.spec.clusterIPs[1]}')]:8080/"
check "and a pod by its IPv6 address" passes "http://[$(field "pod/$pod" '{.status.podIPs[1].ip}')]:8080/"
check "a process of a sidecar is its user's" is "$(inside proxy -- id -u)-$(inside proxy -- id -g)" 1337-1337
check "and writes nothing" grep -qi "read-only" <<<"$(inside proxy -- touch /tmp/x 2>&1)"
check "what the client sends arrives, and the answer comes back" is "$(inside echo --stdin -- tr a-z A-Z <<<hello)" HELLO
exits() { local status=0 && inside echo -- sh -c 'exit 7' 2>/dev/null || status=$?; is "$status" 7; }
check "an exit status comes back" exits
phase() { is "$(field pod/once '{.status.phase}')" Succeeded; }
check "a pod that is done is done with its sidecar" eventually phase
ended() { is "$(field pod/once '{.status.initContainerStatuses[0].state.terminated.exitCode}')" 0; }
check "which is asked to end" eventually ended

kubectl delete pod once >/dev/null
kubectl delete deployment edge echo --cascade=foreground --wait >/dev/null
gone() { is "$(ip netns list)$(pgrep -x "envoy|server")$(ls "$BED_WORK/pods")" ""; }
check "nothing of a deleted pod is left" eventually gone
printf '%s passed, 0 failed\n' "$passed"
