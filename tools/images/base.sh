#!/bin/sh
# Write a root file system like python:3.13-slim's to the archive named, from Debian's packages, where no registry answers.
# Needs root and debootstrap. About three minutes and 190 MB.
set -eu
archive=$1
suite=trixie
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
  echo "a base image from Debian's packages needs root and debootstrap (apt-get install debootstrap)" >&2
  exit 1
fi
folder=$(mktemp -d "$archive.XXXXXX")
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=ca-certificates,netbase,tzdata,python3.13,python3.13-venv,python3-pip \
  "$suite" "$folder" "$mirror" >"$archive.log" 2>&1 || {
  echo "debootstrap failed: $(tail -n 1 "$archive.log"); the whole of it is in $archive.log" >&2
  exit 1
}
# The official image has its Python below /usr/local; the Dockerfile and its PATH count on that.
ln -s /usr/bin/python3.13 "$folder/usr/local/bin/python3"
ln -s python3 "$folder/usr/local/bin/python"
ln -s /usr/bin/pip "$folder/usr/local/bin/pip"
# Debian's pip refuses to install beside the system's packages; in an image there is nothing else to be careful of.
rm -f "$folder/usr/lib/python3.13/EXTERNALLY-MANAGED"
rm -rf "$folder"/var/cache/apt/*.bin "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/* \
  "$folder"/var/log/* "$folder/etc/resolv.conf" "$folder/etc/hostname" "$folder/etc/machine-id"
tar --sort=name --numeric-owner --mtime=@0 -C "$folder" -cf "$archive.part" .
mv "$archive.part" "$archive"
