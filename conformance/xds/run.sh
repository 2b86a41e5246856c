#!/usr/bin/env bash
# The outside judge of the xDS server: plays every rule against the real program and writes REPORT.md.
#
#   run.sh                    everything, with a report
#   run.sh 18 44 'rule 49'    these only; also `envoy`, `grpc`; --transcripts prints what was said in each failure
#   run.sh --newest-envoy     without the older Envoys, and without a report
#
#   ISTHMUS_BIN=/path/to/isthmus   judge this program; else target/debug/isthmus is built and taken
#   ISTHMUS_FIXED_BIN=/path/to/fixed   the same for examples/fixed, the library face
#
# Exit 1 if anything failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../lib/cache.sh"

fetch_python() {
  cache_need python3 "play the xDS scripts"
  python3 -m venv "$1" || cache_die "python3 cannot make a virtual environment; install python3-venv"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt" ||
    cache_die "pip could not fetch what requirements.txt names"
}

if [[ -n "${ISTHMUS_BIN:-}" ]]; then
  binary=$(realpath "$ISTHMUS_BIN")
else
  cargo build --quiet --manifest-path "$root/Cargo.toml" --bin isthmus
  binary=${CARGO_TARGET_DIR:-$root/target}/debug/isthmus
fi
if [[ -n "${ISTHMUS_FIXED_BIN:-}" ]]; then
  fixed=$(realpath "$ISTHMUS_FIXED_BIN")
else
  cargo build --quiet --manifest-path "$root/Cargo.toml" --example fixed
  fixed=${CARGO_TARGET_DIR:-$root/target}/debug/examples/fixed
fi
for program in "$binary" "$fixed"; do
  [[ -x "$program" ]] || cache_die "$program is not an executable file"
done

python=$(cache_entry xds-judge-python "$(sha256sum <"$here/requirements.txt" | cut -c1-16)" fetch_python)
PYTHONDONTWRITEBYTECODE=1 exec "$python/bin/python" "$here/judge.py" --binary "$binary" --library "$fixed" "$@"
