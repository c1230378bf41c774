#!/bin/sh
# Makes a Debian root with a newer OpenSSH client than the host's, and prints its path.
#
#   scripts/openssh10.sh [suite]        suite: trixie (OpenSSH 10.0, the default), forky (10.1 or newer)
#
# The interop tests run it by chroot. It is made once and kept in $HATCHWAY_CACHE (default
# /var/cache/hatchway). Exit 77: it cannot be made here (not root, no debootstrap), so skip.
set -eu

suite=${1:-trixie}
cache=${HATCHWAY_CACHE:-/var/cache/hatchway}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
mirror=$(debian_mirror)
root=$cache/$suite

if [ -x "$root/usr/bin/ssh" ]; then
  echo "$root"
  exit 0
fi

[ "$(id -u)" = 0 ] || { echo "openssh10.sh: only root can make and enter a Debian root" >&2; exit 77; }
command -v debootstrap >/dev/null || { echo "openssh10.sh: debootstrap is not installed" >&2; exit 77; }

# A host's debootstrap may be older than the suite; every Debian suite is made by the same script.
script=/usr/share/debootstrap/scripts/$suite
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid

mkdir -p "$cache"
# Two test files may ask at once: one makes it, the other waits. A root cut short never gets the final name.
exec 9>"$cache/$suite.lock"
flock 9
if [ ! -x "$root/usr/bin/ssh" ]; then
  rm -rf "$root.part" "$root"
  debootstrap --variant=minbase --include=openssh-client "$suite" "$root.part" "$mirror" "$script" \
    >"$cache/$suite.log" 2>&1 || { tail -n 5 "$cache/$suite.log" >&2; exit 1; }
  rm -rf "$root.part/var/cache/apt" "$root.part/var/lib/apt/lists"
  mv "$root.part" "$root"
fi
echo "$root"
