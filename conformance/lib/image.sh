# shellcheck shell=bash
# Source this file, after kubernetes.sh has been asked for its folder.
#
# image FOLDER KUBERNETES NAME PROGRAM: makes FOLDER an image of the process kubelet which runs PROGRAM by that NAME and has
# nftables beside it, as an image that captures traffic has.
image() {
  local folder=$1 kubernetes=$2 name=$3 program=$4 bin=usr/local/bin
  mkdir -p "$folder/$bin"
  ln -sfn "$kubernetes/nft" "$folder/$bin/nft"
  # Not there where the machine has nftables of its own.
  if [[ -d "$kubernetes/nftables" ]]; then ln -sfn "$kubernetes/nftables" "$folder/$bin/nftables"; fi
  ln -sfn "$program" "$folder/$bin/$name"
  ln -sfn "$bin/$name" "$folder/entrypoint"
}
