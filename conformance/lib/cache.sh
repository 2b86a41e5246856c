# shellcheck shell=bash
# What the conformance scripts fetch lives outside the tree, in one folder per tool and version, and is fetched once.
# Source this file; it defines functions only and is safe under `set -euo pipefail`.
#
#   folder=$(cache_entry envoy 1.40.0 fetch_envoy)     # calls `fetch_envoy TEMP_FOLDER` when the entry is missing
#
# An entry is either whole or absent: it is filled in a temporary folder beside its place and then renamed, so a script
# that is killed half way leaves nothing that a later one would trust.

cache_root() {
  if [[ -n "${ISTHMUS_CACHE:-}" ]]; then
    printf '%s\n' "$ISTHMUS_CACHE"
  elif [[ -n "${XDG_CACHE_HOME:-}" ]]; then
    printf '%s\n' "$XDG_CACHE_HOME/isthmus"
  elif [[ -n "${HOME:-}" ]]; then
    printf '%s\n' "$HOME/.cache/isthmus"
  else
    cache_die "no place for the cache: set ISTHMUS_CACHE, XDG_CACHE_HOME or HOME"
  fi
}

# Stdout belongs to the answer (a path), so everything meant for a person goes to stderr.
cache_note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
cache_die() {
  cache_note "$@"
  exit 1
}

# cache_need PROGRAM WHY
cache_need() {
  command -v "$1" >/dev/null 2>&1 || cache_die "$1 is not on PATH; it is needed to $2"
}

# cache_entry TOOL STAMP FILL: prints the absolute folder of TOOL at STAMP, calling `FILL TEMP_FOLDER` if it is not there yet.
# FILL ends with `cache_die` where it fails; it sees the caller's variables.
# The body is a subshell: the lock goes when it ends, and neither its traps nor its variables reach the caller.
cache_entry() (
  set -euo pipefail
  tool=$1 stamp=$2 fill=$3
  root=$(cache_root)
  mkdir -p "$root/$tool"
  root=$(cd "$root" && pwd)
  entry="$root/$tool/$stamp"
  if [[ ! -d "$entry" ]]; then
    cache_need flock "keep two scripts from fetching $tool at once"
    exec 9>"$root/$tool/$stamp.lock"
    flock 9
    # Asked again under the lock: whoever held it before us has probably just filled the entry.
    if [[ ! -d "$entry" ]]; then
      temp=$(mktemp -d "$root/$tool/.$stamp.XXXXXX")
      trap 'rm -rf "$temp"' EXIT
      cache_note "fetching $tool $stamp"
      # What FILL starts must not inherit the lock (a daemon would hold it for ever), nor write into our answer.
      "$fill" "$temp" 9>&- >&2
      filled=$?
      # `set -e` is off in here when the caller tests the result (`if folder=$(cache_entry …)`), hence the second look.
      [[ $filled == 0 ]] || exit "$filled"
      chmod 755 "$temp"
      mv -T "$temp" "$entry"
      trap - EXIT
    fi
  fi
  printf '%s\n' "$entry"
)
