#!/usr/bin/env bash
# The upstream Gateway API conformance suite against the real program and its real Envoys; writes report.yaml and REPORT.md.
#
#   run.sh                              all profiles, standard channel, with a report
#   run.sh --experimental               the same with the experimental channel's CRDs (report-experimental.yaml)
#   run.sh --mesh                       the mesh's profiles, with a sidecar in each of the suite's pods (report-mesh.yaml)
#   run.sh --run-test NAME              one test, without a report
#   run.sh --profiles GATEWAY-HTTP,...  these profiles only, without a report
#   run.sh --debug                      the suite prints each request and response, Isthmus logs in more detail
#   run.sh --keep                       the objects of the tests stay, and after the suite a shell opens in the bed
#   run.sh --work FOLDER                where logs are kept; else in target/gateway-api
#   run.sh ... -- FLAG...               further flags of the suite, such as -disable-parallel-tests
#
#   ISTHMUS_BIN=/path/to/isthmus        judge this program; else it is built, in release form
#
# Exit 1 if anything failed. It needs root (see ../kubernetes/README.md).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../lib/cache.sh"

profiles=GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP
# A mesh has no object whose status could say what is supported, as a GatewayClass does. Missing of those for a mesh:
# MeshClusterIPMatching, since a sidecar goes by the host that a request names, and not by the address of the connection.
mesh_features=Mesh,MeshConsumerRoute,MeshHTTPRouteBackendRequestHeaderModification,MeshHTTPRouteNamedRouteRule
mesh_features+=,MeshHTTPRouteQueryParamMatching,MeshHTTPRouteRedirectPath,MeshHTTPRouteRedirectPort,MeshHTTPRouteRewritePath
mesh_features+=,MeshHTTPRouteSchemeRedirect
# Tests of a mesh ask for these as well.
mesh_features+=,HTTPRoute303RedirectStatusCode,HTTPRoute307RedirectStatusCode,HTTPRoute308RedirectStatusCode
mesh_features+=,HTTPRouteParentRefPort,HTTPRouteResponseHeaderModification
variant=standard inside=inside.sh report=yes work='' bed=() suite=()
export ISTHMUS_JUDGE_DEBUG='' ISTHMUS_JUDGE_KEEP=''
while [[ $# -gt 0 ]]; do
  case $1 in
    --experimental) variant=experimental && bed+=(--experimental) ;;
    --mesh)
      variant=mesh inside=inside-mesh.sh profiles=MESH-HTTP,MESH-GRPC
      suite+=(-supported-features "$mesh_features")
      ;;
    --profiles) profiles=$2 report='' && shift ;;
    --run-test) suite+=(-run-test "$2") report='' && shift ;;
    --debug) suite+=(-debug) ISTHMUS_JUDGE_DEBUG=yes report='' ;;
    --keep) suite+=(-cleanup-base-resources=false -cleanup-test-resources=false) ISTHMUS_JUDGE_KEEP=yes ;;
    --work) work=$2 && shift ;;
    --) shift && suite+=("$@") report='' && break ;;
    *) cache_die "unknown option $1" ;;
  esac
  shift
done

if [[ -n "${ISTHMUS_BIN:-}" ]]; then
  binary=$(realpath "$ISTHMUS_BIN")
else
  cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" --package isthmus --bin isthmus
  binary=${CARGO_TARGET_DIR:-$root/target}/release/isthmus
fi
[[ -x "$binary" ]] || cache_die "$binary is not an executable file"

fetch_python() {
  cache_need python3 "read the suite's report"
  python3 -m venv "$1" || cache_die "python3 cannot make a virtual environment; install python3-venv"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt" ||
    cache_die "pip could not fetch what requirements.txt names"
}
python=$(cache_entry gateway-api-python "$(sha256sum <"$here/requirements.txt" | cut -c1-16)" fetch_python)
envoy=$("$here/../lib/envoy.sh")

work=${work:-${CARGO_TARGET_DIR:-$root/target}/gateway-api/$variant}
rm -rf "$work"
mkdir -p "$work"
version=$("$binary" --version)
# Names of images: what a container of Isthmus' own runs, and what the proxies run.
bed+=(--image "envoy=$envoy")
if [[ $variant == mesh ]]; then
  # shellcheck source=conformance/lib/image.sh
  source "$here/../lib/image.sh"
  image "$work/image" "$("$here/../lib/kubernetes.sh")" isthmus "$binary"
  bed+=(--image "isthmus=$work/image" --image "echo-advanced=$("$here/../lib/echo-advanced.sh")")
else
  bed+=(--image "isthmus=$binary")
fi
status=0 began=$SECONDS
ISTHMUS_JUDGE_BIN=$binary "$here/../kubernetes/bed.sh" --work "$work" "${bed[@]}" -- \
  bash "$here/$inside" -conformance-profiles "$profiles" -report-output "$work/report.yaml" \
  -organization isthmus -project isthmus -url https://isthmus.dev -contact https://isthmus.dev \
  -version "${version##* }" "${suite[@]}" || status=$?

[[ -s "$work/report.yaml" ]] || cache_die "the suite wrote no report; see $work/logs and $work/suite.log"
command=conformance/gateway-api/run.sh
[[ $variant == standard ]] || command+=" --$variant"
how="run by the gateway fleet"
[[ $variant != mesh ]] || how="injected as a sidecar by the webhook of the installation, sdkPick: Direct"
# The suite's report counts only those tests all of whose features belong to a profile.
count() { grep -cE "^ *--- $1: TestConformance/[^/]+ " "$work/suite.log" || true; }
figures=("command=$command" "how=$how" "tests=$(count PASS) tests passed, $(count FAIL) failed" "seconds=$((SECONDS - began))" "isthmus=${version##* }" "envoy=$("$envoy" --version | grep -o '/[0-9][0-9.]*/' | head -1 | tr -d /)")
PYTHONDONTWRITEBYTECODE=1 "$python/bin/python" "$here/report.py" "$work/report.yaml" "${figures[@]}" >"$work/REPORT.md"
if [[ -n "$report" ]]; then
  cat "$work/REPORT.md"
  suffix=''
  [[ $variant == standard ]] || suffix=-$variant
  cp "$work/report.yaml" "$here/report$suffix.yaml"
  cp "$work/REPORT.md" "$here/REPORT${suffix^^}.md"
fi
exit "$status"
