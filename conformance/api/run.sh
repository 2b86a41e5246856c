#!/usr/bin/env bash
# The outside judge of the HTTP API: schemathesis reads openapi.json from a running server and asks every path for what it
# says it can and cannot do. No answer may be a 500, of another form than the document says, or of a type that it does not
# name. What it sends to an OpenTelemetry collector must be what /metrics says. Then a list of 10,000 services must answer
# within 50 ms, by the server's own word (Server-Timing).
#
#   run.sh             everything
#   run.sh --lists     only the lists
#
#   EXAMPLES=20                    requests made up for each path
#   ISTHMUS_BIN=/path/to/isthmus   judge this program; else target/debug/isthmus is built and taken
#   LIST_MS=50                     the limit; debug builds of a busy machine may need more
#
# Exit 1 if anything failed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/../lib/cache.sh"

fetch_python() {
  cache_need python3 "run schemathesis"
  python3 -m venv "$1" || cache_die "python3 cannot make a virtual environment; install python3-venv"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" ||
    cache_die "pip could not fetch what requirements.txt names"
}

if [[ -n "${ISTHMUS_BIN:-}" ]]; then
  binary=$(realpath "$ISTHMUS_BIN")
else
  cargo build --quiet --manifest-path "$root/Cargo.toml" --bin isthmus
  binary=${CARGO_TARGET_DIR:-$root/target}/debug/isthmus
fi
[[ -x "$binary" ]] || cache_die "$binary is not an executable file"
python=$(cache_entry api-judge-python "$(sha256sum <"$here/requirements.txt" | cut -c1-16)" fetch_python)

work=$(mktemp -d)
server=
stop() {
  [[ -z "$server" ]] || { kill "$server" && wait "$server"; } 2>/dev/null || true
  server=
}
trap 'stop; rm -rf "$work"' EXIT

# Serves a folder on ports that are free, and sets `url`.
start() {
  : >"$work/log"
  "$binary" serve --source-dir "$1" --state-dir "$work/state" --xds-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 \
    --auth none --log-format json >"$work/log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    url=$("$python/bin/python" "$here/started.py" "$work/log")
    [[ -z "$url" ]] || { curl -fsS "$url/readyz" >/dev/null 2>&1 && return; }
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/log" >&2
  cache_die "the server did not become ready"
}

status=0
if [[ "${1:-}" != --lists ]]; then
  mkdir "$work/demo"
  cp "$root"/deploy/quickstart/*.yaml "$work/demo"
  start "$work/demo"
  # What never ends cannot be asked like the rest: the streams.
  PYTHONDONTWRITEBYTECODE=1 "$python/bin/python" -m schemathesis.cli --config-file "$here/schemathesis.toml" run \
    "$url/api/v1/openapi.json" --max-examples "${EXAMPLES:-20}" --generation-deterministic \
    --exclude-path /api/v1/watch --exclude-path /api/v1/requests/follow || status=1
  stop
  "$python/bin/python" "$here/collector.py" "$binary" "$work/demo" || status=1
fi

mkdir "$work/many"
"$python/bin/python" "$here/many.py" 10000 >"$work/many/services.yaml"
rm -rf "$work/state"
start "$work/many"
"$python/bin/python" "$here/lists.py" "$url" "${LIST_MS:-50}" || status=1
exit "$status"
