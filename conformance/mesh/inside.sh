#!/usr/bin/env bash
# The first process of the judge's own namespaces: whatever is started ends with it.
set -euo pipefail
mount -t proc proc /proc
# Named network namespaces, and the files that belong to each, live here for all of a machine, even when mounts are private.
mkdir -p /run/netns /etc/netns
mount -t tmpfs tmpfs /run/netns
mount -t tmpfs tmpfs /etc/netns
"$@"
