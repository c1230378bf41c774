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
'

is_root || die 'only root can start engines'
# shellcheck disable=SC2046 # a list of names
apt_need $(printf '%s' "$PACKAGES" | awk 'NF { print $1 }') || say 'going on without them: the tests that need them say so'
cd "$top"
export HATCHWAY_ENGINES=1
exec node_modules/.bin/vitest run --passWithNoTests --project engines "$@"
