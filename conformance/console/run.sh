#!/usr/bin/env bash
# The console judged: the real program with the console in it, a real Envoy, Debian's Chromium.
#
#   conformance/console/run.sh [STORY…]      stories are the files *.test.mjs here, without the ending; all where none is named
#
#   ISTHMUS_BIN=/path/to/isthmus   use this program, which has the console in it, and build nothing
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
ISTHMUS_ENVOY=$("$root/conformance/lib/envoy.sh")
ISTHMUS_CHROMIUM=$("$root/conformance/lib/chromium.sh")
export ISTHMUS_ENVOY ISTHMUS_CHROMIUM
if [[ -z "${ISTHMUS_BIN:-}" ]]; then
  make --no-print-directory -C "$root" console
  (cd "$root" && "${CARGO:-cargo}" build --locked --package isthmus)
  ISTHMUS_BIN="${CARGO_TARGET_DIR:-$root/target}/debug/isthmus"
fi
export ISTHMUS_BIN
cd "$here"
stories=()
for name in "$@"; do stories+=("$name.test.mjs"); done
[[ ${#stories[@]} -gt 0 ]] || stories=(*.test.mjs)
exec node --test --test-concurrency=1 --test-reporter=spec "${stories[@]}"
