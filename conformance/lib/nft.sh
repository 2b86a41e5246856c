#!/usr/bin/env bash
# Prints the absolute path of nftables' program, and nothing else, on stdout: the machine's own, or else Debian's, taken from its
# packages without installing them, so that nothing of the machine is changed.
set -euo pipefail
# shellcheck source=conformance/lib/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

if command -v nft >/dev/null 2>&1; then
  realpath "$(command -v nft)"
  exit
fi

fetch_nft() {
  local folder=$1 package
  cache_need apt-get "fetch nftables (or install it, so that nft is on PATH)"
  cache_need dpkg-deb "unpack nftables"
  mkdir "$folder/root"
  (
    cd "$folder/root"
    # The lists of a fresh machine may be missing or old.
    apt-get download nftables >/dev/null 2>&1 || apt-get update >&2
    apt-get download nftables libnftables1 libnftnl11 libmnl0 libjansson4 libxtables12 libedit2 libgmp10 libbsd0 libmd0 >&2
  ) || cache_die "apt-get could not download nftables; install it, so that nft is on PATH"
  for package in "$folder/root"/*.deb; do
    dpkg-deb -x "$package" "$folder/root"
  done
  rm "$folder/root"/*.deb
  cat >"$folder/nft" <<'NFT'
#!/bin/sh
# nftables with the libraries it came with.
here=$(dirname "$(readlink -f "$0")")/root
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu*):$(echo "$here"/lib/*-linux-gnu*) exec "$here/usr/sbin/nft" "$@"
NFT
  chmod 755 "$folder/nft"
}

folder=$(cache_entry nft 1 fetch_nft)
printf '%s\n' "$folder/nft"
