#!/usr/bin/env bash
# Runs a command beside a real Kubernetes API server (and pods, if wanted), in namespaces that nothing outside can see.
#
#   bed.sh [OPTION]... -- COMMAND [ARGUMENT]...
#     --experimental      the Gateway API's CRDs of the experimental channel, not the standard one
#     --without-kubelet   no nodes and no pods: the API server and its controllers only
#     --node NAME=ZONE    a node of that zone; may be repeated (node-a=zone-a)
#     --image PART=FILE   what a container runs whose image's name contains PART; may be repeated, the first that fits counts;
#                         a folder stands for several files, among them a link `entrypoint` to what runs
#     --work FOLDER       keep logs, kubeconfigs and the pods' folders here; else in a temporary folder that is removed
#   bed.sh --enter FOLDER -- COMMAND [ARGUMENT]...
#     runs a command inside the bed that was started with `--work FOLDER`
#
# COMMAND sees KUBECONFIG (an administrator), ISTHMUS_KUBECONFIG (the ServiceAccount isthmus-system/isthmus with the roles
# that are installed for it, and no more), BED_WORK (the work folder), BED_KUBERNETES (the programs), and kubectl on PATH.
# The bed ends with COMMAND, and its exit status is COMMAND's. It needs root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../lib/cache.sh"

channel=standard kubelet=yes work='' enter='' nodes=() images=()
while [[ $# -gt 0 && $1 != -- ]]; do
  case $1 in
    --experimental) channel=experimental ;;
    --without-kubelet) kubelet='' ;;
    --node) nodes+=(--node "$2") && shift ;;
    --image) images+=(--image "$2") && shift ;;
    --work) work=$2 && shift ;;
    --enter) enter=$2 && shift ;;
    *) cache_die "unknown option $1 (a command stands after --)" ;;
  esac
  shift
done
[[ ${1:-} == -- && $# -gt 1 ]] || cache_die "no command: bed.sh [OPTION]... -- COMMAND"
shift

if [[ -n "$enter" ]]; then
  [[ -f "$enter/pid" ]] || cache_die "$enter holds no running bed"
  # shellcheck source=/dev/null
  source "$enter/environment"
  exec nsenter --target "$(<"$enter/pid")" --net --mount --pid --wd="$PWD" "$@"
fi

[[ $EUID == 0 ]] || cache_die "the bed needs root: pods have networks and mounts of their own"
for program in unshare nsenter ip mount; do cache_need "$program" "give the bed namespaces of its own"; done
cache_need openssl "make the cluster's certificates"
cache_need curl "ask the API server whether it is ready"

BED_KUBERNETES=$("$here/../lib/kubernetes.sh")
export BED_KUBERNETES
export BED_ROOT=$root BED_CHANNEL=$channel
if [[ -n "$kubelet" ]]; then
  # Compiled out here, where the crates can be had; in there is no network.
  if [[ -z "${ISTHMUS_KUBELET_BIN:-}" ]]; then
    cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus-kubelet
    ISTHMUS_KUBELET_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/isthmus-kubelet
  fi
  BED_KUBELET=$(realpath "$ISTHMUS_KUBELET_BIN")
  BED_KUBELET_EXEC=$("$here/../lib/kubelet-exec.sh")
  images+=(--image "gateway-api/echo-basic=$BED_KUBERNETES/echo-basic" --image "coredns=$BED_KUBERNETES/coredns")
  BED_KUBELET_ARGUMENTS=$(printf '%s\n' "${nodes[@]}" "${images[@]}")
  export BED_KUBELET BED_KUBELET_EXEC BED_KUBELET_ARGUMENTS
fi

if [[ -n "$work" ]]; then
  mkdir -p "$work"
  BED_WORK=$(cd "$work" && pwd)
else
  BED_WORK=$(mktemp -d "${TMPDIR:-/tmp}/isthmus-bed.XXXXXX")
  trap 'rm -rf "$BED_WORK"' EXIT
fi
export BED_WORK
rm -f "$BED_WORK/pid"

# `unshare --fork` passes no signals on, and a bash that waits in the foreground handles none: so the bed is waited for in
# the background, and a signal to this script ends unshare, with which all inside dies.
unshare --net --mount --pid --fork --kill-child --propagation private bash "$here/inside.sh" "$@" <&0 &
bed=$!
trap 'kill -KILL "$bed" 2>/dev/null' INT TERM HUP
status=0
wait "$bed" || status=$?
rm -f "$BED_WORK/pid"
exit "$status"
