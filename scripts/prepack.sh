#!/bin/sh
# Before `npm pack`: the bundle, the helper for both architectures, whose containers one gateway may serve, and the manual pages.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/scripts/common.sh"
cd "$top"
make -s -C guest both || die 'the package holds the helper for x86-64 and for arm64, and one of them cannot be built here:
  apt-get install gcc-aarch64-linux-gnu linux-libc-dev-arm64-cross   (on arm64: gcc-x86-64-linux-gnu linux-libc-dev-amd64-cross)'
node scripts/build.mjs
node dist/main.js man >dist/hatchway.1
node dist/main.js man hatchway.yaml >dist/hatchway.yaml.5
