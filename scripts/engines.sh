#!/bin/sh
# ./hatchway test --engines [vitest...]: the contract and the parity suite against engines that a machine for development need
# not have. Prepares what they need from Debian's packages, once, and runs the tests of the project "engines"
# (test/run/kinds.ts). Each test starts an engine of its own, with its own root, socket and state, and ends it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/scripts/common.sh"

# A package a line, with what it is for.
PACKAGES='
  containerd              engine containerd
  runc                    its runtime
  iproute2                network namespaces
  podman                  engine Podman, of root and of a user
  crun                    its other runtime
  catatonit               its init
  slirp4netns             a user's network
  uidmap                  a user's subordinate ids
  debootstrap             a root of Debian's newer suite, for Podman 5
  curl                    asks whether a service answers
'
# The suite with Podman 5, and what it needs of it.
SUITE=trixie
SUITE_PACKAGES=podman,crun,conmon,netavark,catatonit,nftables,iproute2,mount

# The tests of Podman 5 enter it (test/support/podman5.ts).
newer_root() {
  newer=$(cache_dir)/engines/$SUITE
  [ -x "$newer/usr/bin/podman" ] && [ ! -d "$newer/debootstrap" ] && return 0
  mkdir -p "$newer"
  rm -rf "$newer" "$newer.new"
  mirror=$(debian_mirror)
  say "making a Debian $SUITE root in $newer ${mirror:+from $mirror }(some minutes, once)"
  quietly "$newer.log" timeout 900 debootstrap --variant=minbase --include="$SUITE_PACKAGES" "$SUITE" "$newer.new" "$mirror" || return 1
  rm -rf "$newer.new/var/cache/apt/archives/"*.deb "$newer.new/var/lib/apt/lists/"*
  mv "$newer.new" "$newer"
}

is_root || die 'only root can start engines'
# shellcheck disable=SC2046 # a list of names
apt_need $(printf '%s' "$PACKAGES" | awk 'NF { print $1 }') || say 'going on without them: the tests that need them say so'
newer_root || say 'going on without Podman 5: its tests say so'
cd "$top"
export HATCHWAY_TEST_ENGINES=1
exec node_modules/.bin/vitest run --project engines "$@"
