#!/usr/bin/env bash
# Inside the bed: Isthmus beside the API server, as its ServiceAccount, then the suite with the flags given.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
logs=$BED_WORK/logs
address=10.244.0.1
level=info
[[ -z "$ISTHMUS_JUDGE_DEBUG" ]] || level=debug

serve=(serve --kubernetes --kubeconfig "$ISTHMUS_KUBECONFIG"
  --xds-listen "$address:18000" --xds-tls-cert "$BED_WORK/pki/isthmus-xds.crt" --xds-tls-key "$BED_WORK/pki/isthmus-xds.key"
  --fleet-xds-address "$address:18000" --fleet-xds-ca "$BED_WORK/pki/ca.crt"
  --http-listen "$address:8080" --state-dir "$BED_WORK/state" --log-level "$level")
"$ISTHMUS_JUDGE_BIN" "${serve[@]}" >"$logs/isthmus.log" 2>&1 &
isthmus=$!

end=$((SECONDS + 60))
until curl --silent --fail --output /dev/null --max-time 2 "http://$address:8080/readyz"; do
  if ! kill -0 "$isthmus" 2>/dev/null || ((SECONDS >= end)); then
    tail -n 30 "$logs/isthmus.log" >&2
    echo "isthmus is not ready" >&2
    exit 1
  fi
  sleep 0.1
done
kubectl apply --server-side -f "$here/gateway-class.yaml"

# The suite's own limits are left as they are; a compiled test has none for the whole.
status=0
conformance=("$BED_KUBERNETES/conformance.test" -test.run '^TestConformance$' -test.v -test.timeout 40m -test.parallel "${ISTHMUS_JUDGE_PARALLEL:-8}"
  -gateway-class isthmus -usable-address 10.244.1.250 -unusable-address 10.244.2.250 "$@")
"${conformance[@]}" >"$BED_WORK/suite.log" 2>&1 || status=$?
grep -E '^ *--- (PASS|FAIL): TestConformance/[^/]+ ' "$BED_WORK/suite.log" | sort || true
if ((status != 0)); then tail -n 30 "$BED_WORK/suite.log"; fi

# What it thought at the end, for who reads the logs.
curl --silent --max-time 5 "http://$address:8080/metrics" >"$logs/isthmus-metrics.txt" || true
kubectl get gatewayclasses,gateways,listenersets,httproutes,grpcroutes,tlsroutes,tcproutes,udproutes,backendtlspolicies,pods,services \
  --all-namespaces --output yaml >"$logs/objects.yaml" 2>&1 || true
if [[ -n "$ISTHMUS_JUDGE_KEEP" && -t 0 ]]; then bash -i || true; fi
if ! kill -0 "$isthmus" 2>/dev/null; then
  tail -n 30 "$logs/isthmus.log" >&2
  echo "isthmus ended before the suite did" >&2
  exit 1
fi
exit "$status"
