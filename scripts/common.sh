# shellcheck shell=sh
# Shared by the scripts here and by ./hatchway; sourced, never run.

say() { printf 'hatchway: %s\n' "$*" >&2; }
die() { printf 'hatchway: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# A word as it is typed to a shell.
shell_word() {
  case $1 in *[!A-Za-z0-9/=._-]*) printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;; *) printf %s "$1" ;; esac
}

# Where built things are kept between runs; made by whoever asks.
cache_dir() {
  if [ -n "${HATCHWAY_CACHE:-}" ]; then echo "$HATCHWAY_CACHE"
  elif is_root; then echo /var/cache/hatchway
  else echo "${XDG_CACHE_HOME:-$HOME/.cache}/hatchway"; fi
}

# quietly LOG COMMAND...: its output goes to LOG and is shown only when it fails.
quietly() {
  quiet_log=$1; shift
  "$@" >>"$quiet_log" 2>&1 </dev/null && return 0
  tail -n 15 "$quiet_log" >&2
  say "failed: $* (whole log: $quiet_log)"
  return 1
}

# apt_need PACKAGE...: installs those that are missing, and only then asks apt anything.
apt_need() {
  apt_missing=
  for apt_package; do
    case $(dpkg-query -W -f '${Status}' "$apt_package" 2>/dev/null) in
      'install ok installed') ;;
      *) apt_missing="$apt_missing $apt_package" ;;
    esac
  done
  [ -n "$apt_missing" ] || return 0
  have apt-get || { say "missing here and no apt-get to install them with:$apt_missing"; return 1; }
  is_root || { say "missing, and only root can install them: apt-get install$apt_missing"; return 1; }
  apt_log=$(mktemp /tmp/hatchway-apt.XXXXXX)
  say "installing Debian packages:$apt_missing"
  # shellcheck disable=SC2086 # a list of names
  apt_install $apt_missing || return 1
  rm -f "$apt_log"
}

# With the lists at hand first; they are refreshed only when that does not do, which is the common case of a fresh machine.
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >>"$apt_log" 2>&1 </dev/null && return 0
  quietly "$apt_log" apt-get update -qq || true # one foreign list out of reach must not stop us
  DEBIAN_FRONTEND=noninteractive quietly "$apt_log" apt-get install -qq -y --no-install-recommends "$@"
}

# Where this machine's apt gets Debian from; nothing where its configuration does not say, and debootstrap then knows one.
# HATCHWAY_DEBIAN_MIRROR decides otherwise.
debian_mirror() {
  [ -z "${HATCHWAY_DEBIAN_MIRROR:-}" ] || { echo "$HATCHWAY_DEBIAN_MIRROR"; return; }
  sed -n 's/^URIs: *\([^ ]*\/debian\)\/* *$/\1/p; s/^deb \(\[[^]]*\] \)*\([^ ]*\/debian\)\/* .*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1
}
