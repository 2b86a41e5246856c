# launch.sh FOLDER HOST OWNER MODE [SOURCE TARGET MODE]... -- COMMAND [ARGUMENT]...
#
# Becomes COMMAND in the mount and UTS namespaces that it was started in, with a root of its own: the machine's root file
# system under a layer that is thrown away, so that any program of the machine runs, and nothing that a pod writes is seen
# outside. MODE `ro` forbids writes altogether; OWNER gets the streams. It never forks the command: who started this script
# has the command's process, with its signals and its exit status.
set -eu
folder=$1
shift

root=$folder/root
mkdir -p "$root" "$folder/written" "$folder/scratch"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/written,workdir=$folder/scratch" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
# Envoys share memory by fixed names in there; each pod is a machine of its own.
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
# What is to be mounted lies in file systems that the layer does not show.
mkdir "$root/run/.outside"
mount --rbind / "$root/run/.outside"

# From here on inside, since a link such as /var/run would otherwise lead out.
exec chroot "$root" /bin/sh -euc '
  host=$1 owner=$2 mode=$3
  shift 3
  while [ "$1" != -- ]; do
    source=/run/.outside$1 target=$2
    if [ -d "$source" ]; then
      mkdir -p "$target"
    else
      mkdir -p "${target%/*}/"
      [ -e "$target" ] || : >"$target"
    fi
    mount --bind -o "$3" "$source" "$target"
    shift 3
  done
  shift
  umount -l /run/.outside
  rmdir /run/.outside
  echo "$host" >/proc/sys/kernel/hostname
  # Programs open /dev/stdout, and that of somebody else cannot be opened.
  chown "$owner" /proc/self/fd/1 /proc/self/fd/2
  if [ "$mode" = ro ]; then
    for place in / /run /tmp; do mount -o remount,bind,ro "$place"; done
  fi
  exec "$@"
' launch "$@"
