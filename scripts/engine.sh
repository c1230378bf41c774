#!/bin/sh
# engine.sh: makes sure that a container engine answers.
#
# One that answers (DOCKER_HOST, the docker context, /var/run/docker.sock) is used and nothing is touched. Otherwise, as
# root: Debian's docker.io is installed and started; by systemd where that runs, else by hand, with a data root and
# a pid file of its own, so that no other engine's state is touched. Says what it does, silent when there is nothing to do.
#
# HATCHWAY_ENGINE_DATA, _RUN, _SOCKET: where the engine started by hand lives (defaults below).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

data=${HATCHWAY_ENGINE_DATA:-/var/lib/hatchway}
run=${HATCHWAY_ENGINE_RUN:-/run/hatchway}
socket=${HATCHWAY_ENGINE_SOCKET:-/var/run/docker.sock}
log=$data/dockerd.log
pidfile=$run/dockerd.pid
LIMIT=60

# With a limit: a socket whose engine hangs accepts and then says nothing.
answers() { have docker && timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
systemd_runs() { [ -d /run/systemd/system ]; }

# By its executable: a zombie still has a comm, and a pid may be another program's by now.
is_program() { # PID PROGRAM
  case $(readlink "/proc/$1/exe" 2>/dev/null) in */"$2" | */"$2 (deleted)") ;; *) return 1 ;; esac
}

# A pid file outlives a crash or a reboot, and dockerd then refuses to start when any process has that number.
forget_stale() { # FILE PROGRAM
  [ -f "$1" ] || return 0
  pid=$(cat "$1" 2>/dev/null || true)
  [ -n "$pid" ] && is_program "$pid" "$2" && return 0
  say "removing the stale pid file $1 (no $2 has pid ${pid:-none})"
  rm -f "$1"
}

wait_until_it_answers() { # PID of a dockerd, or nothing where systemd runs it
  waited=0
  until answers; do
    # Not before a second has passed: the pid is setsid's at first.
    if [ -n "${1:-}" ] && [ "$waited" -gt 5 ] && ! is_program "$1" dockerd; then
      tail -n 15 "$log" >&2
      die "dockerd has ended (whole log: $log)"
    fi
    [ "$waited" -lt $((LIMIT * 5)) ] || die "the engine does not answer after $LIMIT s (log: $log)"
    sleep 0.2
    waited=$((waited + 1))
  done
}

install_engine() {
  say 'no container engine here: installing docker.io from Debian'
  if systemd_runs || [ -e /usr/sbin/policy-rc.d ]; then
    apt_need docker.io iptables ca-certificates
    return
  fi
  # The package's init script would start an engine on /var/lib/docker, half a second before ours.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  apt_need docker.io iptables ca-certificates
  rm -f /usr/sbin/policy-rc.d
  trap - EXIT
}

start_by_hand() {
  mkdir -p "$data" "$run" "$(dirname "$socket")"
  if ! grep -qE ' cgroup2? ' /proc/mounts; then
    say 'no cgroups are mounted: mounting them'
    apt_need cgroupfs-mount
    cgroupfs-mount
  fi
  forget_stale "$pidfile" dockerd
  forget_stale "$run/docker/containerd/containerd.pid" containerd
  if [ -f "$pidfile" ]; then
    say "waiting for the engine that runs with pid $(cat "$pidfile")"
    wait_until_it_answers "$(cat "$pidfile")"
    return
  fi
  say "starting dockerd (data in $data/docker, log $log)"
  setsid dockerd --data-root "$data/docker" --exec-root "$run/docker" --pidfile "$pidfile" -H "unix://$socket" \
    >>"$log" 2>&1 </dev/null &
  wait_until_it_answers $!
}

[ "$socket" = /var/run/docker.sock ] || export DOCKER_HOST="unix://$socket"
answers && exit 0

# What the user chose must not be replaced by something else behind their back.
if [ -n "${DOCKER_HOST:-}" ] && [ "$DOCKER_HOST" != "unix://$socket" ]; then
  die "DOCKER_HOST is $DOCKER_HOST and no engine answers there: start it, or unset DOCKER_HOST"
fi
context=$(docker context show 2>/dev/null) || context=
if [ -n "$context" ] && [ "$context" != default ] && [ -z "${DOCKER_HOST:-}" ]; then
  die "the docker context is \"$context\" and its engine does not answer: start it, or run: docker context use default"
fi
if ! is_root; then
  [ ! -S "$socket" ] || [ -w "$socket" ] || die "you may not use $socket: join its group (usermod -aG docker $(id -un)), or run this as root"
  die 'no container engine answers, and only root can install and start one: run this once as root'
fi

have dockerd || install_engine
have dockerd || die 'docker.io is installed but there is no dockerd'
if systemd_runs && [ "$socket" = /var/run/docker.sock ]; then
  say 'starting docker with systemd'
  systemctl start docker || die 'systemd could not start docker: systemctl status docker'
  wait_until_it_answers
else
  start_by_hand
fi
say "the engine runs: docker $(docker version --format '{{.Server.Version}}')"
