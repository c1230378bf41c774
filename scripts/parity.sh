#!/bin/sh
# parity.sh ROAD [--guest auto|off|require] [--out DIR] [REGEX...]
#
# Runs test/parity/parity.sh, the interoperability suite, on one road into a fresh container of hatchway-debian:
#   sshd     OpenSSH inside the container, the reference
#   docker   the built gateway on the Engine API
#   cli      the built gateway on the docker CLI
#   containerd  the built gateway on a containerd of its own, without dockerd (root)
#   kubernetes  the built gateway on the node of scripts/kubernetes.sh, whose folder is in HATCHWAY_TEST_KUBERNETES
# The docker of the PATH is meant, and what DOCKER_HOST says: another engine has to have the image.
# Prints one line a case and the counts; --out keeps them as DIR/result, with the gateway's log beside it.
# Exit code as the suite's: 0 if nothing failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
. "$here/common.sh"

road=${1:-}
case $road in sshd | docker | cli | containerd | kubernetes) shift ;; *) die 'usage: parity.sh sshd|docker|cli|containerd|kubernetes [--guest MODE] [--out DIR] [REGEX...]' ;; esac
guest=auto
out=
while [ $# -gt 0 ]; do
  case $1 in
    --guest) guest=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) break ;;
  esac
done

work=$(mktemp -d /tmp/hw-parity.XXXXXX)
name=hw-test-parity-$road-$$
gateway=
suite=
containerd=
# shellcheck disable=SC2317 # called by trap
cleanup() {
  trap - EXIT INT TERM HUP
  # It has a session of its own: its clients go with it.
  if [ -n "$suite" ]; then kill "$suite" 2>/dev/null || true; wait "$suite" 2>/dev/null || true; pkill -KILL -s "$suite" || true; fi
  if [ -n "$gateway" ]; then kill "$gateway" 2>/dev/null || true; wait "$gateway" 2>/dev/null || true; fi
  case $road in
    containerd) containerd_down ;;
    kubernetes) kubectl delete namespace "$name" --wait=false >/dev/null 2>&1 || true ;;
    *) docker rm -f -v "$name" >/dev/null 2>&1 || true ;;
  esac
  rm -rf "$work"
}

# --- a containerd with its own root, state and socket ---------------------------------------------------------------

ctr() { command ctr -a "$work/containerd/socket" -n parity "$@"; }

containerd_up() {
  is_root || die 'only root can start containerd'
  home=$work/containerd
  mkdir -p "$home"
  cat >"$home/config.toml" <<CONFIG
version = 2
root = "$home/root"
state = "$home/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$home/socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "$home/opt"
CONFIG
  containerd --config "$home/config.toml" >"$home/log" 2>&1 </dev/null &
  containerd=$!
  tries=0
  until ctr version >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || die 'containerd does not answer'
    sleep 0.1
  done
  docker save hatchway-debian:latest -o "$home/image.tar"
  ctr images import "$home/image.tar" >/dev/null
  rm "$home/image.tar"
  # What the suite does inside, past the gateway: USER COMMAND...
  cat >"$work/inside" <<INSIDE
#!/bin/sh
user=\$1
shift
[ "\$user" = 0 ] || set -- runuser -u "\$user" -- "\$@"
exec ctr -a "$home/socket" -n parity tasks exec --exec-id "\$(cat /proc/sys/kernel/random/uuid)" "$name" "\$@"
INSIDE
  chmod 755 "$work/inside"
}

containerd_down() {
  [ -n "$containerd" ] || return 0
  ctr tasks kill -s SIGKILL "$name" >/dev/null 2>&1 || true
  tries=0
  until ctr tasks rm "$name" >/dev/null 2>&1 || [ "$tries" -ge 20 ]; do
    tries=$((tries + 1))
    sleep 0.2
  done
  ctr containers rm "$name" >/dev/null 2>&1 || true
  kill "$containerd" 2>/dev/null || true
  wait "$containerd" 2>/dev/null || true
  # Where it could not be asked any more: the shim, whose container ends with it.
  pkill -KILL -f "containerd-shim.* -address $work/" || true
  awk -v below="$work/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l
}

# --- a pod in a namespace of its own, on a node that runs ------------------------------------------------------------

node=${HATCHWAY_TEST_KUBERNETES:-}
kubectl() { "$node/bin/kubectl" --kubeconfig "$node/admin.kubeconfig" "$@"; }

kubernetes_pod() { # COMMAND of its shell
  [ -n "$node" ] || die 'HATCHWAY_TEST_KUBERNETES names no node: scripts/kubernetes.sh up starts one'
  kubectl create namespace "$name"
  kubectl -n "$name" apply -f "$top/packaging/kubernetes/role-exec.yaml"
  kubectl -n "$name" create rolebinding hatchway-exec --role=hatchway-exec --user=gateway
  # The cluster's controllers make it as well, a moment later.
  kubectl -n "$name" create serviceaccount default 2>/dev/null || true
  kubectl -n "$name" apply -f - <<POD
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "parity"}, "spec": {"nodeName": "node1", "automountServiceAccountToken": false,
  "terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "docker.io/library/hatchway-debian:latest",
  "imagePullPolicy": "Never", "command": ["sh", "-c", "$1"]}]}}
POD
  kubectl -n "$name" wait --for=condition=Ready pod/parity --timeout=80s
  cat >"$work/inside" <<INSIDE
#!/bin/sh
user=\$1
shift
[ "\$user" = 0 ] || set -- runuser -u "\$user" -- "\$@"
exec "$node/bin/kubectl" --kubeconfig "$node/admin.kubeconfig" -n "$name" exec parity -- "\$@"
INSIDE
  chmod 755 "$work/inside"
}

trap cleanup EXIT
trap 'cleanup; exit 130' INT TERM HUP
out=${out:-$work/out}
mkdir -p "$out"

ssh-keygen -q -t ed25519 -N '' -C parity -f "$work/id" </dev/null
ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -C parity -f "$work/id_rsa" </dev/null
ssh-keygen -q -t ecdsa -b 256 -m PEM -N '' -C parity -f "$work/id_ecdsa" </dev/null
cat "$work"/*.pub >"$work/authorized_keys"
chmod 600 "$work/authorized_keys"

# The same container for every road; the gateway's roads find the same sshd on 127.0.0.1:22 as their second hop.
# inet only: docker leaves lo without ::1, and sshd then refuses every x11-req.
cat >"$work/sshd_config" <<'CONFIG'
AddressFamily inet
AuthorizedKeysFile /etc/ssh/hw_authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
MaxStartups 100
AcceptEnv LANG LC_*
X11Forwarding yes
Subsystem sftp /usr/lib/openssh/sftp-server
CONFIG
WAITING='until [ -e /etc/ssh/hw_ready ]; do sleep 0.1; done; ssh-keygen -A >/dev/null; mkdir -p /run/sshd; exec /usr/sbin/sshd -D -f /etc/ssh/hw_sshd_config'
if [ "$road" = containerd ]; then
  containerd_up
  ctr run -d --null-io docker.io/library/hatchway-debian:latest "$name" sh -c "$WAITING"
  inside() { "$work/inside" 0 "$@"; }
  export SSH_INSIDE="$work/inside"
  address=127.0.0.1
  answers() { inside ssh-keyscan -T 2 "$address" 2>/dev/null </dev/null; }
elif [ "$road" = kubernetes ]; then
  kubernetes_pod "$WAITING" >/dev/null
  inside() { kubectl -n "$name" exec -i parity -- "$@"; }
  export SSH_INSIDE="$work/inside"
  answers() { inside ssh-keyscan -T 2 127.0.0.1 2>/dev/null </dev/null; }
else
  docker run -d --name "$name" hatchway-debian:latest sh -c "$WAITING" >/dev/null
  inside() { docker exec -i "$name" "$@"; }
  address=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' "$name")
  # Only the reference is asked from here: a container of a user's has no address that leads to it.
  answers() {
    if [ "$road" = sshd ]; then timeout 5 ssh-keyscan -T 2 "$address" 2>/dev/null
    else timeout 10 docker exec "$name" ssh-keyscan -T 2 127.0.0.1 2>/dev/null; fi
  }
fi
inside sh -c 'cat >/etc/ssh/hw_sshd_config' <"$work/sshd_config"
inside sh -c 'cat >/etc/ssh/hw_authorized_keys && touch /etc/ssh/hw_ready' <"$work/authorized_keys"
tries=0
until [ -n "$(answers)" ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 50 ] || die 'sshd in the container does not answer'
  sleep 0.2
done

SSH_KEY=$work/id SSH_KEY_RSA=$work/id_rsa SSH_KEY_ECDSA=$work/id_ecdsa SSH_CONTAINER=$name PARITY_NODE_PATH=$top/node_modules
if [ "$road" = sshd ]; then
  SSH_HOST=$address SSH_PORT=22 SSH_USER=dev SSH_BAD_USER=hw-test-nobody
else
  case $road in
    containerd) engine="kind: containerd, socket: $work/containerd/socket, namespace: parity" ;;
    kubernetes) engine="kind: kubernetes, kubeconfig: $node/gateway.kubeconfig, namespaces: [$name]" ;;
    *) engine="kind: $road" ;;
  esac
  echo "engine: { $engine }" >"$work/gateway.yaml"
  # Emptied here: what an earlier gateway said there is no answer.
  : >"$out/gateway.log"
  node "$top/dist/main.js" serve --config "$work/gateway.yaml" --listen 127.0.0.1:0 --authorized-keys "$work/authorized_keys" \
    --keys "$work" --guest "$guest" >"$out/gateway.log" 2>&1 </dev/null &
  gateway=$!
  SSH_HOST=127.0.0.1 SSH_PORT='' SSH_USER=dev@$name SSH_BAD_USER=dev@hw-test-no-such-container
  [ "$road" != kubernetes ] || SSH_USER=dev@parity.$name
  tries=0
  while [ -z "$SSH_PORT" ]; do
    SSH_PORT=$(sed -n '/"msg":"listening"/s/.*"port":\([0-9]*\).*/\1/p' "$out/gateway.log" | head -n 1)
    tries=$((tries + 1))
    if [ "$tries" -gt 600 ] || ! kill -0 "$gateway" 2>/dev/null; then
      tail -n 5 "$out/gateway.log" >&2
      die 'the gateway does not listen'
    fi
    sleep 0.1
  done
fi
export SSH_HOST SSH_PORT SSH_USER SSH_BAD_USER SSH_KEY SSH_KEY_RSA SSH_KEY_ECDSA SSH_CONTAINER PARITY_NODE_PATH

# Not a pipe to tee: the suite's exit code is ours. In the background: a shell that waits for a program has no ear for signals.
status=0
PARITY_TIMEOUT=${PARITY_TIMEOUT:-60} setsid bash "$top/test/parity/parity.sh" "$@" >"$out/result" 2>"$out/errors" </dev/null &
suite=$!
wait "$suite" || status=$?
suite=
cat "$out/result"
exit "$status"
