# shellcheck shell=bash
# Source this file, after kubernetes.sh has been asked for its folder.
#
# image FOLDER KUBERNETES PROGRAM: makes FOLDER an image of the process kubelet which runs PROGRAM and has nftables beside it, as
# an image that captures traffic has.
image() {
  local folder=$1 kubernetes=$2 program=$3 bin=usr/local/bin
  mkdir -p "$folder/$bin"
  ln -sfn "$kubernetes/nft" "$folder/$bin/nft"
  # Not there where the machine has nftables of its own.
  if [[ -d "$kubernetes/nftables" ]]; then ln -sfn "$kubernetes/nftables" "$folder/$bin/nftables"; fi
  if [[ $(basename "$program") != nft ]]; then ln -sfn "$program" "$folder/$bin/$(basename "$program")"; fi
  ln -sfn "$bin/$(basename "$program")" "$folder/entrypoint"
}
