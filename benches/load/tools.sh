#!/usr/bin/env bash
# Builds the independent judge and prints where its programs are.
#
#   tools.sh FOLDER      FOLDER has xdsload/ and gcpserver/ (Go) and rawpush/ (Rust)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../../conformance/lib/cache.sh"

sources=$(cd "$1" && pwd)

build_tools() {
  cache_need go "build xdsload and gcpserver"
  cp -r "$sources"/{xdsload,gcpserver,rawpush} "$1/"
  chmod -R u+w "$1"
  local tool
  for tool in xdsload gcpserver; do
    (cd "$1/$tool" && go build -o "$1/$tool.program" .) || cache_die "$tool does not build"
  done
  cargo build --quiet --release --manifest-path "$1/rawpush/Cargo.toml" --target-dir "$1/rawpush.target" ||
    cache_die "rawpush does not build"
  mv "$1/rawpush.target/release/rawpush" "$1/rawpush.program"
  rm -rf "$1"/{xdsload,gcpserver,rawpush,rawpush.target}
  for tool in xdsload gcpserver rawpush; do mv "$1/$tool.program" "$1/$tool"; done
}

stamp=$(cd "$sources" && find xdsload gcpserver rawpush -name target -prune -o -type f -print0 | sort -z |
  xargs -0 sha256sum | sha256sum | cut -c1-16)
cache_entry load-judge "$stamp" build_tools
