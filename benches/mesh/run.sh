#!/usr/bin/env bash
# A mesh of 10,000 services, 1,000 sidecars in 50 namespaces: memory, bytes per sidecar, and whom a change of one endpoint reaches.
# Writes REPORT.md; about 5 minutes with all built.
#
#   run.sh                        the whole thing
#   run.sh --quick                a tenth of it, without a report
#   run.sh --work FOLDER          where logs are kept; else in target/bench-mesh
#
#   ISTHMUS_BIN, ISTHMUS_LOAD     measure this program, with this build of examples/load; else both are built, in release form
#
# It needs root, for a network namespace of its own. Nothing else should run on the machine.
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
cache_need python3 "write the documents and take the times"

export ISTHMUS_BUILD="the program in ISTHMUS_BIN"
if [[ -z "${ISTHMUS_BIN:-}" || -z "${ISTHMUS_LOAD:-}" ]]; then
  cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus --example load
  ISTHMUS_BIN=$target/release/isthmus ISTHMUS_LOAD=$target/release/examples/load ISTHMUS_BUILD="release build"
fi
ISTHMUS_BIN=$(realpath "$ISTHMUS_BIN") ISTHMUS_LOAD=$(realpath "$ISTHMUS_LOAD")
ISTHMUS_ENVOY=$("$root/conformance/lib/envoy.sh")
export ISTHMUS_BIN ISTHMUS_LOAD ISTHMUS_ENVOY PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/benches/load

work=${work:-$target/bench-mesh}
rm -rf "$work"
mkdir -p "$work"
# The ports of a sidecar belong to nobody else in there.
unshare --net --pid --fork --kill-child --mount-proc --propagation private -- \
  bash -c 'ip link set lo up && exec "$@"' bash python3 "$here/bench.py" "$work" "${quick[@]}"
if ((${#quick[@]} == 0)); then cp "$work/REPORT.md" "$here/REPORT.md"; fi
