#!/usr/bin/env bash
# Judges writes to a real Kubernetes API server: who may, one document and many, dry runs, the way back, other owners.
#
#   conformance/writes/run.sh [SCENARIO]...     runs all of it in a bed of its own; needs root, see ../kubernetes/README.md
#
# Prints a line for each check and ends with 1 if one failed. ISTHMUS_BIN=FILE is the program, else the debug build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

[[ -n ${ISTHMUS_BIN:-} ]] || cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
ISTHMUS=$(realpath "${ISTHMUS_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/isthmus}")
ISTHMUS_ENVOY=$("$here/../lib/envoy.sh")
export ISTHMUS ISTHMUS_ENVOY
exec "$here/../kubernetes/bed.sh" --without-kubelet ${WRITES_WORK:+--work "$WRITES_WORK"} -- python3 "$here/judge.py" "$@"
