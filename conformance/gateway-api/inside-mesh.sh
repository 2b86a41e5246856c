#!/usr/bin/env bash
# Inside the bed: Isthmus installed as anybody installs it, its webhook putting a sidecar into each pod of the suite's
# namespaces, then the suite with the flags given.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
logs=$BED_WORK/logs
system=isthmus-system

fail() {
  echo "$*" >&2
  kubectl get pods --all-namespaces --output wide >&2 || true
  tail -n 30 "$logs"/pods/"$system"_*.log >&2 || true
  exit 1
}

# As it is but for the level of the log.
manifests=$BED_ROOT/deploy/kubernetes/install.yaml
if [[ -n "$ISTHMUS_JUDGE_DEBUG" ]]; then
  sed 's/^\( *log-level:\) info$/\1 debug/' "$manifests" >"$BED_WORK/install.yaml"
  manifests=$BED_WORK/install.yaml
fi
kubectl apply --server-side --force-conflicts -f "$manifests" >"$logs/install.log"
kubectl apply --server-side -f "$here/mesh-config.yaml" >>"$logs/install.log"
kubectl rollout status deployment/isthmus --namespace "$system" --timeout 180s || fail "isthmus is not ready"
# A pod that is made before the API server knows how to ask would have no sidecar.
injects() {
  kubectl create namespace judge --dry-run=client --output yaml | kubectl apply -f - >/dev/null
  kubectl label namespace judge isthmus.dev/inject=enabled --overwrite >/dev/null
  kubectl run probe --namespace judge --image none --dry-run=server --output yaml | grep -q "isthmus.dev/sidecar: injected"
}
end=$((SECONDS + 60))
until injects 2>"$logs/webhook.log"; do
  ((SECONDS < end)) || fail "the webhook injects nothing: $(cat "$logs/webhook.log")"
  sleep 0.5
done
kubectl delete namespace judge --wait=false >/dev/null

status=0
conformance=("$BED_KUBERNETES/conformance.test" -test.run '^TestConformance$' -test.v -test.timeout 40m -test.parallel "${ISTHMUS_JUDGE_PARALLEL:-8}"
  -gateway-class isthmus -namespace-labels isthmus.dev/inject=enabled "$@")
"${conformance[@]}" >"$BED_WORK/suite.log" 2>&1 || status=$?
grep -E '^ *--- (PASS|FAIL): TestConformance/[^/]+ ' "$BED_WORK/suite.log" | sort || true
if ((status != 0)); then tail -n 30 "$BED_WORK/suite.log"; fi

# What it thought at the end, for who reads the logs.
kubectl get httproutes,grpcroutes,pods,services,endpointslices --all-namespaces --output yaml >"$logs/objects.yaml" 2>&1 || true
if [[ -n "$ISTHMUS_JUDGE_KEEP" ]]; then
  if [[ -t 0 ]]; then bash -i || true; fi
fi
if kubectl get pods --namespace "$system" --output 'jsonpath={.items[*].status.containerStatuses[*].restartCount}' | grep -q '[1-9]'; then
  fail "isthmus was started again before the suite ended"
fi
exit "$status"
