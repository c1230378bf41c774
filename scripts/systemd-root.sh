#!/bin/sh
# Makes a Debian root with systemd for test/support/systemd.ts to start as process 1, and prints its path. It is made once and
# kept in $HATCHWAY_CACHE (default /var/cache/hatchway).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
PACKAGES=systemd,openssh-client,libstdc++6,iproute2,procps
SUITE=bookworm
cache=$(cache_dir)
root=$cache/systemd

is_root || die 'only root can make and enter a Debian root'
apt_need debootstrap util-linux || die 'needs debootstrap and util-linux'
mkdir -p "$cache"
# Two test runs may ask at once: one makes it, the other waits. A root cut short never gets the final name.
exec 9>"$cache/systemd.lock"
flock 9
if [ ! -x "$root/lib/systemd/systemd" ]; then
  rm -rf "$root.part" "$root"
  quietly "$cache/systemd.log" debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root.part" "$(debian_mirror)" ||
    die 'debootstrap failed'
  rm -rf "$root.part/var/cache/apt" "$root.part/var/lib/apt/lists"
  mv "$root.part" "$root"
fi
echo "$root"
