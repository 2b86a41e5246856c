#!/usr/bin/env bash
# Makes proto/schemas/core/*.json and proto/schemas/{discovery,networking}.k8s.io/*.json from the OpenAPI documents that the Go module
# k8s.io/kubernetes carries. Needs Go; downloads the module (30 MB) on first use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# Named here and not in go.mod: nothing of the module is compiled, and requiring it would need its 33 staging replaces.
module=k8s.io/kubernetes@v1.36.3
sum=h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o=

json=$(go mod download -json "$module")
field() { sed -nE "s/^\t\"$1\": \"(.*)\",?$/\1/p" <<<"$json"; }
if [[ "$(field Sum)" != "$sum" ]]; then
  echo "generate.sh: $module has the sum $(field Sum), not the $sum written in this script" >&2
  exit 1
fi
specs=$(field Dir)/api/openapi-spec/v3
schemas=../../schemas
mkdir -p "$schemas/core" "$schemas/discovery.k8s.io"
for kind in ConfigMap Namespace Node Secret Service; do
  go run . "$schemas/core/$kind.json" "$specs/api__v1_openapi.json" "io.k8s.api.core.v1.$kind"
done
go run . "$schemas/discovery.k8s.io/EndpointSlice.json" "$specs/apis__discovery.k8s.io__v1_openapi.json" \
  io.k8s.api.discovery.v1.EndpointSlice
mkdir -p "$schemas/networking.k8s.io"
for kind in Ingress IngressClass; do
  go run . "$schemas/networking.k8s.io/$kind.json" "$specs/apis__networking.k8s.io__v1_openapi.json" "io.k8s.api.networking.v1.$kind"
done
wc -c "$schemas"/networking.k8s.io/*.json "$schemas"/core/*.json "$schemas"/discovery.k8s.io/*.json >&2
