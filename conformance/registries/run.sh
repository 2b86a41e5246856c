#!/usr/bin/env bash
# Real registries, the real program, a real Envoy and real back ends: plays the failure contract and writes REPORT.md.
#
#   run.sh                     everything, with a report (about an hour)
#   run.sh smoke zookeeper     these only: names of scenarios or of registries
#   run.sh --quick             short cuts and fewer samples (the report says so)
#
#   ISTHMUS_BIN=/path/to/isthmus   judge this program; else target/debug/isthmus is built and taken
#
# All of it lives in a network namespace that has nothing but a loopback of its own; no server reaches anybody.
# It needs root, or the right to make namespaces as an ordinary user. Exit 1 if anything failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../lib/cache.sh"

if [[ -n "${ISTHMUS_BIN:-}" ]]; then
  binary=$(realpath "$ISTHMUS_BIN")
else
  cargo build --quiet --manifest-path "$root/Cargo.toml" --bin isthmus
  binary=${CARGO_TARGET_DIR:-$root/target}/debug/isthmus
fi
[[ -x "$binary" ]] || cache_die "$binary is not an executable file"

cache_need unshare "keep the registries away from every network"
cache_need ip "give the test bed addresses of its own"
cache_need java "run Nacos, Eureka and ZooKeeper"

# Everything is fetched before the network is shut. What cannot be had is reported as not run.
for name in zookeeper consul nacos3 nacos2 eureka double apps; do
  if place=$("$here/fetch.sh" "$name"); then
    export "BED_${name^^}=$place"
  else
    cache_note "$name cannot be had; what needs it is not run"
  fi
done
ISTHMUS_ENVOY=$("$here/../lib/envoy.sh")
export ISTHMUS_ENVOY
python=$("$here/fetch.sh" python)

namespace=(--net --pid --fork --kill-child --mount-proc)
[[ $EUID == 0 ]] || namespace+=(--map-root-user)
export PYTHONDONTWRITEBYTECODE=1
# Any address of 10.99.0.0/16 is this machine, in there.
# shellcheck disable=SC2016
exec unshare "${namespace[@]}" bash -euc '
  ip link set lo up
  ip address add 10.99.0.1/32 dev lo
  ip route add local 10.99.0.0/16 dev lo
  exec "$@"
' bed "$python/bin/python" "$here/judge.py" --binary "$binary" "$@"
