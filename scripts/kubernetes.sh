#!/bin/sh
# One node of Kubernetes 1.20.2 for the tests, built from Debian's source package: no registry, no image of others.
#
#   scripts/kubernetes.sh build     once, in the cache folder (13 minutes on two cores, 3 GB while it builds)
#   scripts/kubernetes.sh up        starts it, and prints the folder with admin.kubeconfig, gateway.kubeconfig, bin/
#   scripts/kubernetes.sh down      ends what it started, and removes what it left
#
# It runs in a network namespace of its own, with mounts, cgroups and folders of its own; it never talks to another one, nor
# to the machine's engine but for making its images. Needs root and Debian 12 (bookworm). Exit 77: it cannot be had here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
VERSION=1.20.2
SOURCE=1.20.5+really1.20.2-1.1+deb12u1
GO=1.19
SUITE=bookworm
NS=hwk8s
LINK=hwk8s0
HOST_IP=10.99.7.1
NODE_IP=10.99.7.2
cache=$(cache_dir)/kubernetes
bin=$cache/bin-$VERSION
R=${HATCHWAY_KUBERNETES_STATE:-/run/hatchway-kubernetes}

cannot() { printf 'kubernetes.sh: %s\n' "$*" >&2; exit 77; }

# --- build ---------------------------------------------------------------------------------------------------------

# apt-get with lists of its own, so that the machine's sources stay as they are.
own_apt() {
  apt-get -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" "$@"
}

fetch() {
  mirror=$(debian_mirror)
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/debs"
  for kind in deb deb-src; do
    echo "$kind ${mirror:-http://deb.debian.org/debian} $SUITE main"
  done >"$work/apt/sources.list"
  own_apt update -q
  cd "$work/debs"
  own_apt -q download "golang-$GO-go" "golang-$GO-src" etcd-server
  for package in *.deb; do dpkg -x "$package" "$work/root"; done
  own_apt -q source --download-only "kubernetes=$SOURCE"
  mkdir -p "$work/debian"
  tar -C "$work" -xf kubernetes_*.orig.tar.gz
  tar -C "$work/debian" -xf kubernetes_*.debian.tar.xz
  cd "$work/kubernetes-$VERSION"
  while read -r patch; do
    case $patch in '' | '#'*) continue ;; esac
    patch -p1 -s <"$work/debian/debian/patches/$patch"
  done <"$work/debian/debian/patches/series"
}

compile() {
  cd "$work/kubernetes-$VERSION"
  mkdir -p .go/src/k8s.io "$work/home" "$bin.part"
  ln -sfn ../../.. .go/src/k8s.io/kubernetes
  export GOROOT="$work/root/usr/lib/go-$GO" GOPATH="$PWD/.go" HOME="$work/home"
  export GO111MODULE=off CGO_ENABLED=0 GOPROXY=off GOFLAGS='-p=2' PATH="$work/root/usr/lib/go-$GO/bin:$PATH"
  export KUBE_GIT_VERSION="v$VERSION" KUBE_GIT_COMMIT=debian KUBE_GIT_TREE_STATE=archive KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
  for program in kube-apiserver kubelet kube-controller-manager kube-scheduler kubectl; do
    [ -x "$bin.part/$program" ] && continue
    say "building $program"
    nice -n 15 make WHAT="cmd/$program"
    cp "_output/bin/$program" "$bin.part/$program.new"
    mv "$bin.part/$program.new" "$bin.part/$program"
  done
  gcc -Os -static -s -DVERSION="$VERSION" -o "$bin.part/pause" build/pause/linux/pause.c
  cp "$work/root/usr/bin/etcd" "$bin.part/"
  mv "$bin.part" "$bin"
}

build() {
  [ ! -x "$bin/etcd" ] || return 0
  is_root || cannot 'only root can start one'
  grep -q "VERSION_CODENAME=$SUITE" /etc/os-release || cannot "it is built of Debian $SUITE's packages, and this is another system"
  apt_need gcc libc6-dev make rsync patch xz-utils openssl iproute2 containerd runc containernetworking-plugins iptables ||
    cannot 'its tools are missing'
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  [ ! -x "$bin/etcd" ] || return 0
  work=$cache/work
  [ -e "$work/fetched" ] || {
    rm -rf "$work"
    mkdir -p "$work"
    say "fetching the source of Kubernetes $VERSION, and Go $GO"
    (fetch) >"$cache/fetch.log" 2>&1 || { tail -n 5 "$cache/fetch.log" >&2; cannot 'its source cannot be fetched'; }
    : >"$work/fetched"
  }
  [ "${1:-}" != fetch-only ] || return 0
  say "building Kubernetes $VERSION, once: some 13 minutes on two cores (log: $cache/build.log)"
  (compile) >"$cache/build.log" 2>&1 || { tail -n 15 "$cache/build.log" >&2; die 'the build of Kubernetes failed'; }
  rm -rf "$work"
}

case ${1:-} in
  build) build ;;
  fetch) build fetch-only ;;
  *) die 'usage: scripts/kubernetes.sh build | up | down' ;;
esac
