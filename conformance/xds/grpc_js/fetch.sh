#!/usr/bin/env bash
# Prints the absolute folder in which child.js can be run, and nothing else, on stdout; fetches its packages on first use.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../../lib/cache.sh"

fetch_grpc_js() {
  cache_need npm "fetch the gRPC client for Node.js"
  cp "$here/package.json" "$here/child.js" "$1"
  npm install --prefix "$1" --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error ||
    cache_die "npm could not fetch what package.json names"
}

cache_need node "run the gRPC client for Node.js"
cache_entry xds-judge-grpc-js "$(cat "$here/package.json" "$here/child.js" | sha256sum | cut -c1-16)" fetch_grpc_js
