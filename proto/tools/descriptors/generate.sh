#!/usr/bin/env bash
# Makes proto/descriptors/envoy-v3.binpb.gz from the Go module github.com/envoyproxy/go-control-plane/envoy (version: go.mod).
# Needs Go and gzip; the first run compiles the whole module (some minutes). Equal inputs give equal bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
module=github.com/envoyproxy/go-control-plane/envoy
xds=github.com/cncf/xds/go # TypedStruct, matchers: named by users inside Anys, so nothing in Envoy's API has to import them
out=../../descriptors/envoy-v3.binpb.gz

# The list of packages comes from the module itself: a hand-kept list would silently miss what the next release adds.
trap 'rm -f imports.go' EXIT
{
  echo 'package main'
  echo 'import ('
  go list -mod=mod "$module/..." "$xds/..." | sort | sed 's/.*/\t_ "&"/'
  echo ')'
} >imports.go
# After a change of version in go.mod this completes go.mod and go.sum; otherwise it changes nothing.
go mod tidy
mkdir -p "$(dirname "$out")"
go run . | gzip --best --no-name >"$out.new"
mv "$out.new" "$out"
ls -l "$out" >&2
