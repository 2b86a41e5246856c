#!/usr/bin/env bash
# Prints a folder that stands for the image echo-advanced, which the mesh profiles of the Gateway API suite run in their pods,
# and nothing else, on stdout. That image is Istio's echo application; it is built from its Go module at the version pinned in
# ../kubernetes/echo-advanced, once for each state of those files (a minute).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/cache.sh"

pins=$here/../kubernetes/echo-advanced
cache_need go "build the echo application"
cache_need openssl "make its certificate"
export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false" CGO_ENABLED=0

build_echo() {
  local folder=$1
  mkdir -p "$folder/usr/local/bin"
  go -C "$pins" build -trimpath -ldflags "-s -w" -o "$folder/usr/local/bin/" \
    istio.io/istio/pkg/test/echo/cmd/server istio.io/istio/pkg/test/echo/cmd/client || cache_die "go could not build the echo application"
  ln -s usr/local/bin/server "$folder/entrypoint"
  # The manifests name these files of the image; nobody verifies them.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$folder/cert.key" -out "$folder/cert.crt" \
    -days 3650 -subj /CN=echo 2>/dev/null || cache_die "openssl could not make a certificate"
}

stamp=$(
  cd "$pins"
  { cat go.mod go.sum tools.go && go version; } | sha256sum | cut -c1-16
)
cache_entry echo-advanced "$stamp" build_echo
