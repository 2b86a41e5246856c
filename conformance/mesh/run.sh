#!/usr/bin/env bash
# The mesh in real Envoys: pods are network namespaces, and what applications send and get is captured by Isthmus' own rules.
#
#   run.sh                        all scenarios; writes REPORT.md
#   run.sh SCENARIO...            some of them, without a report; their names are those of the files in scenarios/
#   run.sh --work FOLDER ...      where logs are kept; else in target/mesh
#
#   ISTHMUS_BIN=/path/to/isthmus  judge this program; else it is built
#
# Exit 1 if anything failed. It needs root, for namespaces of its own: nothing of the machine is changed.
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
[[ $(id -u) == 0 ]] || cache_die "network namespaces need root"
for program in python3 curl openssl ip unshare setpriv; do cache_need "$program" "play the scenarios"; done

if [[ -n "${ISTHMUS_BIN:-}" ]]; then
  binary=$(realpath "$ISTHMUS_BIN") build="the program in ISTHMUS_BIN"
else
  cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  binary=$target/debug/isthmus build="debug build"
fi
[[ -x "$binary" ]] || cache_die "$binary is not an executable file"

work=${work:-$target/mesh}
rm -rf "$work"
mkdir -p "$work/logs"
export ISTHMUS_JUDGE_BIN=$binary ISTHMUS_JUDGE_BUILD=$build PYTHONDONTWRITEBYTECODE=1 MESH_WORK=$work
ISTHMUS_JUDGE_ENVOY=$("$here/../lib/envoy.sh")
ISTHMUS_JUDGE_NFT=$("$here/../lib/nft.sh")
export ISTHMUS_JUDGE_ENVOY ISTHMUS_JUDGE_NFT
status=0
unshare --net --mount --pid --fork --kill-child --propagation private -- \
  bash "$here/inside.sh" python3 "$here/judge.py" "${scenarios[@]}" || status=$?
if ((${#scenarios[@]} == 0)) && [[ -s "$work/REPORT.md" ]]; then cp "$work/REPORT.md" "$here/REPORT.md"; fi
exit "$status"
