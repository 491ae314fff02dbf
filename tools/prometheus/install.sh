#!/bin/sh
# Unpack Debian's Prometheus and promtool into the folder named, without installing them. Signed by Debian's keys, by apt.
set -eu
target=$1
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "no apt-get: the tests that need Prometheus will be skipped (put prometheus and promtool into $target)" >&2
  exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Root's downloads are made by the user _apt, who must be let in.
chmod 755 "$folder"
if ! (cd "$folder" && apt-get download -qq prometheus 2>"$folder/said"); then
  echo "apt-get download prometheus failed: $(tail -n 1 "$folder/said"); the tests that need it will be skipped (apt-get update?)" >&2
  exit 1
fi
dpkg-deb -x "$folder"/prometheus_*.deb "$folder/unpacked"
mkdir -p "$target"
install -m 755 "$folder/unpacked/usr/bin/prometheus" "$folder/unpacked/usr/bin/promtool" "$target"
