#!/usr/bin/env bash
# Prints the path of a Chromium, and nothing else, on stdout; installs Debian's with the fonts for Chinese on first use.
#
#   ISTHMUS_CHROMIUM=/path/to/chromium   use this one
set -euo pipefail
# shellcheck source=conformance/lib/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

if [[ -n "${ISTHMUS_CHROMIUM:-}" ]]; then
  [[ -x "$ISTHMUS_CHROMIUM" ]] || cache_die "ISTHMUS_CHROMIUM=$ISTHMUS_CHROMIUM is not an executable file"
  realpath "$ISTHMUS_CHROMIUM"
  exit
fi

# Without a font for them, Chinese texts are boxes on the pictures.
has_fonts() { fc-list :lang=zh 2>/dev/null | grep -q .; }
if ! command -v chromium >/dev/null || ! has_fonts; then
  [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null ||
    cache_die "no chromium here, and only root on Debian can install it: set ISTHMUS_CHROMIUM"
  {
    apt-get update --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends chromium fonts-noto-cjk fontconfig
  } >&2 || cache_die "apt could not install chromium and fonts-noto-cjk"
fi
command -v chromium
