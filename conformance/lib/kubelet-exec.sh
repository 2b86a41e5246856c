#!/usr/bin/env bash
# Prints the path of the helper with which the process kubelet serves `kubectl exec`, and nothing else, on stdout.
# It is built from ../kubelet/exec, once for each state of those files: seconds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/cache.sh"

source=$here/../kubelet/exec
cache_need go "build the kubelet's helper"
export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false" CGO_ENABLED=0

build_exec() {
  go -C "$source" build -trimpath -ldflags "-s -w" -o "$1/exec" . || cache_die "go could not build the kubelet's helper"
}

stamp=$(
  cd "$source"
  { cat go.mod go.sum main.go && go version; } | sha256sum | cut -c1-16
)
folder=$(cache_entry kubelet-exec "$stamp" build_exec)
printf '%s\n' "$folder/exec"
