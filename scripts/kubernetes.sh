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
R=${HATCHWAY_TEST_KUBERNETES_STATE:-/run/hatchway-kubernetes}

cannot() { printf 'kubernetes.sh: %s\n' "$*" >&2; exit 77; }

# --- build ---------------------------------------------------------------------------------------------------------

# apt-get with lists of its own, so that the machine's sources stay as they are.
own_apt() {
  apt-get -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" "$@"
}

fetch() {
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die 'no mirror of Debian is configured in /etc/apt'
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/debs"
  for kind in deb deb-src; do
    echo "$kind $mirror $SUITE main"
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
    make WHAT="cmd/$program"
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

# --- one node ------------------------------------------------------------------------------------------------------

K=$bin/kubectl
admin() { "$K" --kubeconfig "$R/admin.kubeconfig" "$@"; }
ctr_k8s() { ctr -a "$R/containerd.sock" -n k8s.io "$@"; }

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  seconds=$1 what=$2
  shift 2
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -le $((seconds * 4)) ] || { tail -n 5 "$R"/*.log >&2; die "Kubernetes: $what did not come within $seconds s"; }
    sleep 0.25
  done
}

certificate() { # NAME SUBJECT ALTERNATIVES
  openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf 'subjectAltName=%s\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -out "$1.crt" -extfile "$1.ext" 2>/dev/null
}

kubeconfig() { # NAME TOKEN
  cat >"$R/$1.kubeconfig" <<END
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://$NODE_IP:6443", certificate-authority: $R/pki/ca.crt}}]
users: [{name: $1, user: {token: $2}}]
contexts: [{name: test, context: {cluster: test, user: $1}}]
END
}

credentials() {
  mkdir -p "$R/pki"
  cd "$R/pki"
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=hatchway-test-ca -keyout ca.key -out ca.crt 2>/dev/null
  certificate apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$NODE_IP,IP:10.96.0.1,DNS:kubernetes.default,DNS:localhost"
  certificate apiserver-client /O=system:masters/CN=apiserver DNS:apiserver
  certificate kubelet /CN=node1 "IP:$NODE_IP,DNS:node1"
  openssl genrsa -out sa.key 2048 2>/dev/null
  # The gateway's account is nobody until a test binds a role to it.
  {
    echo 'admin-token,admin,1,system:masters'
    echo 'node-token,system:node:node1,2,system:nodes'
    echo 'gateway-token,gateway,3,'
  } >tokens.csv
  for one in admin node gateway; do kubeconfig "$one" "$one-token"; done
}

settings() {
  mkdir -p "$R/cni" "$R/kubelet" "$R/sysctl"
  cat >"$R/cni/10-test.conflist" <<END
{"cniVersion": "0.4.0", "name": "test", "plugins": [{"type": "bridge", "bridge": "hwcni0", "isGateway": true, "ipMasq": false,
  "ipam": {"type": "host-local", "dataDir": "$R/ipam", "ranges": [[{"subnet": "10.99.8.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
  # restrict_oom_score_adj: a machine without CAP_SYS_RESOURCE refuses a lower one.
  cat >"$R/containerd.toml" <<END
version = 2
root = "$R/containerd"
state = "$R/containerd-state"
[grpc]
  address = "$R/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$R/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/hatchway-pause:latest"
  disable_apparmor = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$R/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
END
  cat >"$R/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $R/pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $R/pki/kubelet.crt
tlsPrivateKeyFile: $R/pki/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: /hwk8s
failSwapOn: false
makeIPTablesUtilChains: false
enforceNodeAllocatable: []
evictionHard: {nodefs.available: "1%", imagefs.available: "1%", memory.available: "50Mi"}
imageGCHighThresholdPercent: 100
oomScoreAdj: 0
clusterDomain: cluster.local
resolvConf: $R/resolv.conf
END
  : >"$R/resolv.conf"
  for value in overcommit_memory panic_on_oom panic panic_on_oops root_maxkeys root_maxbytes; do echo 0 >"$R/sysctl/$value"; done
}

# start NAME COMMAND...: in the network namespace, and in a mount namespace where the kubelet's sysctls are plain files.
# Not by "ip netns exec", which would mount /sys anew, without the cgroups.
start() {
  name=$1
  shift
  # shellcheck disable=SC2016 # for that shell
  setsid nsenter --net="/run/netns/$NS" unshare -m --propagation private sh -c '
    values=$1
    shift
    for one in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
      mount --bind "$values/${one##*/}" "/proc/sys/$one"
    done
    exec "$@"' sh "$R/sysctl" "$@" >"$R/$name.log" 2>&1 </dev/null &
  echo $! >"$R/$name.pid"
}

apiserver() {
  start apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 \
    --advertise-address="$NODE_IP" --secure-port=6443 --tls-cert-file="$R/pki/apiserver.crt" \
    --tls-private-key-file="$R/pki/apiserver.key" --client-ca-file="$R/pki/ca.crt" --token-auth-file="$R/pki/tokens.csv" \
    --authorization-mode=Node,RBAC --kubelet-preferred-address-types=InternalIP --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-issuer=https://kubernetes.default --service-account-key-file="$R/pki/sa.key" \
    --service-account-signing-key-file="$R/pki/sa.key" --kubelet-client-certificate="$R/pki/apiserver-client.crt" \
    --kubelet-client-key="$R/pki/apiserver-client.key" --kubelet-certificate-authority="$R/pki/ca.crt" --v=1
  wait_for 90 'the API server' admin get --raw /readyz
}

kubelet() {
  start kubelet "$bin/kubelet" --kubeconfig="$R/node.kubeconfig" --config="$R/kubelet.yaml" --root-dir="$R/kubelet" \
    --hostname-override=node1 --node-ip="$NODE_IP" --container-runtime=remote --cert-dir="$R/kubelet-pki" --v=2 \
    --container-runtime-endpoint="unix://$R/containerd.sock" --image-service-endpoint="unix://$R/containerd.sock"
  wait_for 90 'its node' admin wait --for=condition=Ready node/node1 --timeout=1s
  # A node that was ready before is still said to be.
  wait_for 60 'its kubelet' admin get --raw /api/v1/nodes/node1/proxy/healthz
}

network() {
  ip netns add "$NS"
  ip link add "$LINK" type veth peer name eth0 netns "$NS"
  ip addr add "$HOST_IP/24" dev "$LINK"
  ip link set "$LINK" up
  ip -n "$NS" addr add "$NODE_IP/24" dev eth0
  ip -n "$NS" link set eth0 up
  ip -n "$NS" link set lo up
  # It stays in there: kubelets ask clouds for metadata.
  ip -n "$NS" route add unreachable default
  nsenter --net="/run/netns/$NS" sysctl -qw net.ipv4.ip_forward=1
}

cgroups() {
  for controller in cpu cpuacct cpuset memory devices freezer blkio pids systemd; do
    [ ! -d "/sys/fs/cgroup/$controller" ] || mkdir -p "/sys/fs/cgroup/$controller/hwk8s"
  done
  [ -d /sys/fs/cgroup/cpuset ] || return 0
  for file in cpuset.mems cpuset.cpus; do cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/hwk8s/$file"; done
}

images() {
  mkdir -p "$R/pause"
  cp "$bin/pause" "$R/pause/"
  tar -C "$R/pause" -c pause | docker import -c 'ENTRYPOINT ["/pause"]' - hatchway-pause:latest >/dev/null
  for image in hatchway-pause ${HATCHWAY_TEST_KUBERNETES_IMAGES:-hatchway-busybox hatchway-debian}; do
    docker image inspect "$image:latest" >/dev/null 2>&1 || { say "no image $image here"; continue; }
    docker save "$image:latest" | ctr_k8s images import - >/dev/null
  done
  docker rmi hatchway-pause:latest >/dev/null
}

is_up() { [ -f "$R/kubelet.pid" ] && kill -0 "$(cat "$R/kubelet.pid")" 2>/dev/null; }

up() {
  build
  is_up && { echo "$R"; return; }
  down
  mkdir -p "$R"
  (credentials)
  settings
  network
  cgroups
  ln -s "$bin" "$R/bin"
  start etcd "$bin/etcd" --data-dir "$R/etcd" --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync
  start containerd containerd --config "$R/containerd.toml" --log-level info
  apiserver
  start controllers "$bin/kube-controller-manager" --kubeconfig="$R/admin.kubeconfig" --root-ca-file="$R/pki/ca.crt" \
    --service-account-private-key-file="$R/pki/sa.key" --leader-elect=false --bind-address=127.0.0.1
  start scheduler "$bin/kube-scheduler" --kubeconfig="$R/admin.kubeconfig" --leader-elect=false --bind-address=127.0.0.1
  wait_for 30 containerd ctr_k8s version
  images
  kubelet
  wait_for 60 'its service account' admin get serviceaccount default
  echo "$R"
}

# end NAME: the process that was started under this name, by its pid.
end() {
  [ -f "$R/$1.pid" ] || return 0
  pid=$(cat "$R/$1.pid")
  kill "$pid" 2>/dev/null || true
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 40 ]; do
    sleep 0.25
    tries=$((tries + 1))
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$R/$1.pid"
}

down() {
  [ -d "$R" ] || return 0
  if is_up; then timeout 40 "$K" --kubeconfig "$R/admin.kubeconfig" delete pod --all --all-namespaces --grace-period=1 >/dev/null 2>&1 || true; fi
  for one in kubelet scheduler controllers apiserver; do end "$one"; done
  for task in $(ctr_k8s tasks ls -q 2>/dev/null); do ctr_k8s tasks kill -s 9 "$task" >/dev/null 2>&1 || true; done
  for container in $(ctr_k8s containers ls -q 2>/dev/null); do
    ctr_k8s tasks rm -f "$container" >/dev/null 2>&1 || true
    ctr_k8s containers rm "$container" >/dev/null 2>&1 || true
  done
  for one in containerd etcd; do end "$one"; done
  ip link del "$LINK" 2>/dev/null || true
  ip netns del "$NS" 2>/dev/null || true
  grep -o " $R/[^ ]*" /proc/mounts | sort -r | while read -r place; do umount -l "$place" 2>/dev/null || true; done
  find /sys/fs/cgroup -depth -type d -path '*/hwk8s*' -exec rmdir {} + 2>/dev/null || true
  rm -rf "$R"
}

case ${1:-} in
  build) build ;;
  fetch) build fetch-only ;;
  up) up ;;
  down) down ;;
  is-up) is_up ;;
  # For tests of what happens without it.
  stop) end "$2" ;;
  apiserver) apiserver ;;
  kubelet) kubelet ;;
  *) die 'usage: scripts/kubernetes.sh build | up | down' ;;
esac
