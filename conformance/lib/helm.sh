#!/usr/bin/env bash
# Prints the absolute path of a helm program, and nothing else, on stdout; builds it from its Go module on first use.
#
#   ISTHMUS_HELM=/path/to/helm   use this one
#   HELM_VERSION=3.22.0          which release to build otherwise
#
# Built, not downloaded: the module is pinned by Go's checksum data base, and the build is the same on every platform.
set -euo pipefail
# shellcheck source=conformance/lib/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

version=${HELM_VERSION:-3.22.0}

if [[ -n "${ISTHMUS_HELM:-}" ]]; then
  [[ -f "$ISTHMUS_HELM" && -x "$ISTHMUS_HELM" ]] || cache_die "ISTHMUS_HELM=$ISTHMUS_HELM is not an executable file"
  realpath "$ISTHMUS_HELM"
  exit
fi

build_helm() {
  local folder=$1
  cache_need go "build helm from its module (or set ISTHMUS_HELM to a binary)"
  CGO_ENABLED=0 GOFLAGS=-mod=mod GOBIN="$folder" go install -trimpath \
    -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=v$version" "helm.sh/helm/v3/cmd/helm@v$version" ||
    cache_die "go could not build helm $version"
}

folder=$(cache_entry helm "$version" build_helm)
printf '%s\n' "$folder/helm"
