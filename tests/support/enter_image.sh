#!/bin/sh
# Run words in an image that is a folder: enter_image.sh ROOT MOUNTS WORD… in a mount namespace of its own, as its root.
# ROOT is an empty folder. MOUNTS has a line "ro|rw SOURCE TARGET" for each thing the image is to see of this machine.
# The words run as user 10001, who has no name and no rights, on a root file system that nobody can write.
set -eu
root=$1 mounts=$2
shift 2
path=$PATH
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount --make-rprivate /
mount -t tmpfs -o mode=755 image "$root"
for each in bin sbin lib lib32 lib64; do
  if [ -L "/$each" ]; then ln -s "$(readlink "/$each")" "$root/$each"; fi
done
while read -r mode source target; do
  if [ -d "$source" ]; then
    mkdir -p "$root$target"
  else
    mkdir -p "$root${target%/*}"
    [ -e "$root$target" ] || : >"$root$target"
  fi
  mount --bind "$source" "$root$target"
  if [ "$mode" = ro ]; then
    # What the mount was made with stays: a user namespace may not take it away.
    options=$(findmnt --noheadings --raw --first-only --output VFS-OPTIONS --target "$root$target" | sed 's/^rw/ro/')
    mount -o "remount,bind,$options" "$root$target"
  fi
done <"$mounts"
mkdir -p "$root/proc" "$root/old"
mount --rbind /proc "$root/proc"
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
mount -o remount,bind,ro /
cd /app
read -r _ _ users </proc/self/uid_map
if [ "$users" -gt 10001 ]; then
  set -- setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    --pdeathsig KILL -- /usr/bin/env PATH="$path" "$@"
else
  set -- unshare --user --map-user=10001 --map-group=10001 -- setpriv --no-new-privs --pdeathsig KILL -- \
    /usr/bin/env PATH="$path" "$@"
fi
exec "$@"
