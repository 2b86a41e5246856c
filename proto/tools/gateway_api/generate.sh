#!/usr/bin/env bash
# Makes proto/schemas/gateway.networking.k8s.io/<Kind>.json, the schemas without prose, from the experimental channel CRDs of the
# Go module sigs.k8s.io/gateway-api (version: go.mod). That channel holds the standard one and more fields of the same kinds.
# Needs Go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

schemas=../../schemas/gateway.networking.k8s.io
kinds=(backendtlspolicies gatewayclasses gateways grpcroutes httproutes listenersets referencegrants tcproutes tlsroutes udproutes)

go mod tidy
crds=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/experimental
paths=()
for kind in "${kinds[@]}"; do paths+=("$crds/gateway.networking.k8s.io_$kind.yaml"); done
mkdir -p "$schemas"
go run . "$schemas" v1 "${paths[@]}"
wc -c "$schemas"/*.json >&2
