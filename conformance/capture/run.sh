#!/usr/bin/env bash
# Judges `isthmus capture` with real sockets in network namespaces of its own: what is redirected, and what is not, by nftables
# and by iptables, IPv4 and IPv6.
#
#   conformance/capture/run.sh        needs root, ip and python3; a form whose program is missing is reported as not run
#
# Prints a line for each check and ends with 1 if one failed. ISTHMUS_BIN=FILE is the program, else the debug build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

if [[ ${1:-} != --inside ]]; then
  [[ $EUID == 0 ]] || { echo "capture: needs root" >&2; exit 1; }
  [[ -n ${ISTHMUS_BIN:-} ]] || cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  ISTHMUS=$(realpath "${ISTHMUS_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/isthmus}")
  export ISTHMUS
  exec unshare --net --mount --pid --fork --kill-child --propagation private "$0" --inside
fi

mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
failed=0
for form in nft iptables; do
  command -v "$form" >/dev/null || { echo "NOT RUN  $form is not installed"; failed=1; continue; }
  # A pod, and the world: each with both families.
  ip netns add pod
  ip netns add world
  ip -n pod link add eth0 type veth peer name eth0 netns world
  for name in pod world; do
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
  done
  ip -n pod address add 10.1.0.2/24 dev eth0
  ip -n pod -6 address add fd01::2/64 dev eth0 nodad
  ip -n world address add 10.1.0.1/24 dev eth0
  ip -n world -6 address add fd01::1/64 dev eth0 nodad
  # What the pod dials lies behind the world's address.
  ip -n pod route add default via 10.1.0.1
  ip -n pod -6 route add default via fd01::1
  for address in 10.2.0.1 10.9.0.1 10.96.0.10; do ip -n world address add "$address/32" dev lo; done
  for address in fd02::1 fd09::1 fd96::a; do ip -n world -6 address add "$address/128" dev lo nodad; done
  echo "-- $form"
  python3 -B "$here/judge.py" "$form" || failed=1
  ip netns delete pod
  ip netns delete world
done
exit "$failed"
