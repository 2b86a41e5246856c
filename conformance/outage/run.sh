#!/usr/bin/env bash
# Outages of the real thing, under load: two replicas of Isthmus, the Envoys of its fleet, a real API server.
#
#   run.sh                        all scenarios (about 12 minutes); writes REPORT.md
#   run.sh SCENARIO...            some of them, without a report; their names are those of the files in scenarios/
#   run.sh --work FOLDER ...      where logs are kept; else in target/outage
#
#   ISTHMUS_BIN=/path/to/isthmus  judge this program; else it is built, in release form
#
# Exit 1 if anything failed. It needs root (see ../kubernetes/README.md).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../lib/cache.sh"

target=${CARGO_TARGET_DIR:-$root/target} work='' scenarios=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --work) work=$2 && shift ;;
    -*) cache_die "unknown option $1" ;;
    *) scenarios+=("$1") ;;
  esac
  shift
done
cache_need python3 "play the scenarios"
cache_need curl "look into Envoys"

if [[ -n "${ISTHMUS_BIN:-}" ]]; then
  binary=$(realpath "$ISTHMUS_BIN") build="the program in ISTHMUS_BIN"
else
  cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  binary=$target/release/isthmus build="release build"
fi
[[ -x "$binary" ]] || cache_die "$binary is not an executable file"
envoy=$("$here/../lib/envoy.sh")

work=${work:-$target/outage}
rm -rf "$work"
mkdir -p "$work"
export ISTHMUS_JUDGE_BIN=$binary ISTHMUS_JUDGE_BUILD=$build PYTHONDONTWRITEBYTECODE=1
status=0
"$here/../kubernetes/bed.sh" --work "$work" --node node-a=zone-a --node node-b=zone-b \
  --image "envoy=$envoy" -- python3 "$here/judge.py" "${scenarios[@]}" || status=$?
if ((${#scenarios[@]} == 0)) && [[ -s "$work/REPORT.md" ]]; then cp "$work/REPORT.md" "$here/REPORT.md"; fi
exit "$status"
