#!/usr/bin/env bash
# Makes what is made from something else under deploy/: the CRDs (from the schemas in src/kinds), the plain manifests (from
# the chart), and the chart's README (from its values).
#
#   deploy/manifests.sh            writes them
#   deploy/manifests.sh --check    fails where one is not what it would write
#
#   ISTHMUS=target/debug/isthmus   the program that prints the CRDs; built where not given
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/.." && pwd)
chart=$here/helm/isthmus
helm=$("$root/conformance/lib/helm.sh")
isthmus=${ISTHMUS:-}
if [[ -z "$isthmus" ]]; then
  cargo build --quiet --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  isthmus=${CARGO_TARGET_DIR:-$root/target}/debug/isthmus
fi

made_from() { printf '# Made by `make manifests` from %s: change it there.\n' "$1"; }

render() {
  # The name and the namespace stand in the plain manifests; whoever wants others takes the chart.
  "$helm" template isthmus "$chart" --namespace isthmus-system --kube-version 1.31.0 "$@"
}

# write FOLDER: everything, below it as below deploy/.
write() {
  local to=$1 name
  mkdir -p "$to/kubernetes/crds" "$to/helm/isthmus/crds"
  for name in $("$isthmus" crds -o name); do
    { made_from src/kinds/schemas && "$isthmus" crds "${name%%.*}" | sed 1d; } >"$to/kubernetes/crds/${name%%.*}.yaml"
    cp "$to/kubernetes/crds/${name%%.*}.yaml" "$to/helm/isthmus/crds/"
  done
  { made_from ../helm/isthmus && render --show-only templates/rbac.yaml; } >"$to/kubernetes/rbac.yaml"
  {
    made_from ../helm/isthmus
    printf -- '---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: isthmus-system\n'
    render
  } >"$to/kubernetes/install.yaml"
  python3 "$here/helm/table.py" "$chart" >"$to/helm/isthmus/README.md"
}

made=(kubernetes/crds kubernetes/rbac.yaml kubernetes/install.yaml helm/isthmus/crds helm/isthmus/README.md)
fresh=$(mktemp -d "${TMPDIR:-/tmp}/isthmus-manifests.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
write "$fresh"
stale=0
for part in "${made[@]}"; do
  if [[ ${1:-} == --check ]]; then
    diff -ru "$here/$part" "$fresh/$part" >&2 || stale=1
  else
    rm -rf "${here:?}/$part"
    mkdir -p "$(dirname "$here/$part")"
    cp -r "$fresh/$part" "$here/$part"
  fi
done
if [[ $stale == 1 ]]; then
  echo "manifests: stale, see above: run \`make manifests\` and commit what it writes" >&2
  exit 1
fi
