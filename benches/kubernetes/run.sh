#!/usr/bin/env bash
# Isthmus before a real API server that holds 1,000 HTTPRoutes and 1,000 Services of 10 endpoints: time to ready, memory,
# CPU, and how long a change takes until a real Envoy and the status have it. Writes REPORT.md; 5 to 10 minutes with all built.
#
#   run.sh                        the whole thing
#   run.sh --quick                a tenth of it, without a report
#   run.sh --work FOLDER          where logs are kept; else in target/bench-kubernetes
#
#   ISTHMUS_BIN=/path/to/isthmus  measure this program; else it is built, in release form
#
# It needs root (see ../../conformance/kubernetes/README.md). Nothing else should run on the machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$root/conformance/lib/cache.sh"

target=${CARGO_TARGET_DIR:-$root/target} work='' quick=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --quick) quick=(--quick) ;;
    --work) work=$2 && shift ;;
    *) cache_die "unknown option $1" ;;
  esac
  shift
done
cache_need python3 "load the API server and take the times"

if [[ -n "${ISTHMUS_BIN:-}" ]]; then
  binary=$(realpath "$ISTHMUS_BIN")
else
  cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  binary=$target/release/isthmus
fi
envoy=$("$root/conformance/lib/envoy.sh")

work=${work:-$target/bench-kubernetes}
rm -rf "$work"
mkdir -p "$work"
export ISTHMUS_JUDGE_BIN=$binary PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=$root/conformance/outage:$root/benches/load
"$root/conformance/kubernetes/bed.sh" --work "$work" --node node-a=zone-a --image "envoy=$envoy" -- \
  python3 "$here/bench.py" "${quick[@]}"
if ((${#quick[@]} == 0)); then cp "$work/REPORT.md" "$here/REPORT.md"; fi
