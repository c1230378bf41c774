#!/bin/sh
# images.sh [busybox] [debian] [scratch]   (default: all three)
#
# Builds the images that the demo and the tests run, without any registry: `docker import` of
#   hatchway-busybox:latest   Debian's busybox-static and nothing else
#   hatchway-debian:latest    a debootstrap root with sshd, python3, perl, git, rsync, tmux, vim
#   hatchway-scratch:latest   one static binary, no shell, no passwd
# Idempotent: an image whose label hatchway.recipe is this script's own digest is left alone.
# HATCHWAY_CACHE (default /var/cache/hatchway, or ~/.cache/hatchway) keeps the Debian root between runs,
# HATCHWAY_DEBIAN_MIRROR is where it comes from (default: this machine's own mirror).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

PACKAGES=procps,perl,openssh-server,openssh-client,tmux,vim-tiny,git,rsync,python3,sudo,less,netcat-openbsd,xauth
SUITE=bookworm
RECIPE=$(cat "$here/images.sh" "$here/images/"* | sha256sum | cut -c1-12)
# PID 1 of every image: ends at once on `docker stop`, and reaps what sessions leave behind.
WAIT='["/bin/sh","-c","trap '\''exit 0'\'' TERM INT; while :; do sleep 86400 & wait $!; done"]'
PATH_ALL=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

have docker || die 'no docker command here; scripts/engine.sh installs one (as root)'
cache=$(cache_dir)
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

current() { [ "$(docker image inspect -f '{{index .Config.Labels "hatchway.recipe"}}' "hatchway-$1:latest" 2>/dev/null)" = "$RECIPE" ]; }

# import NAME [--change ...]: a tar on stdin becomes the image.
import() {
  import_name=$1; shift
  docker import --change "LABEL hatchway.image=$import_name hatchway.recipe=$RECIPE" "$@" - "hatchway-$import_name:latest" >/dev/null
  say "built image hatchway-$import_name"
}

# A package's files without installing it: the machine's own busybox (initramfs-tools may need it) stays as it is.
unpack_package() {
  mkdir -p "$work/deb"
  (cd "$work/deb" && apt-get download -qq "$1" >/dev/null 2>&1) || {
    if is_root; then apt-get update -qq >/dev/null 2>&1 || true; fi
    (cd "$work/deb" && apt-get download -qq "$1" >/dev/null) || die "cannot download Debian's package $1"
  }
  dpkg-deb -x "$work/deb/$1"_*.deb "$2"
}

# What passwd(5) can hold; the tests log in as each of them.
edge_users() { # SHELL that exists
  cat <<PASSWD
nologin:x:1001:1001:No Login:/home/nologin:/usr/sbin/nologin
falselogin:x:1002:1002::/:/bin/false
nohome:x:1003:1003:No Home:/home/nohome:$1
noshell:x:1004:1004:Missing Shell:/tmp:/opt/missing/shell
emptyshell:x:1005:1005:Empty Shell Field:/tmp:
lockedhome:x:1006:1006:Unreadable Home:/root:$1
4711:x:1007:1007:Digits Only:/tmp:$1
dev-alias:x:1000:1000:Second Name Of 1000:/home/dev:$1
PASSWD
}
# Lines that are no users; the two last are what runc takes for uid 0.
broken_lines() { printf '%s\n' '# a comment' 'short:x:1' 'badid:x:abc:abc::/:/bin/sh' '+@ldap::::::'; }

groups_of_users() {
  echo 'dev:x:1000:'
  echo 'devs:x:2000:dev'
  echo 'deploy:x:2001:dev,nohome'
  for id in 1001:nologin 1002:falselogin 1003:nohome 1004:noshell 1005:emptyshell 1006:lockedhome 1007:digits; do
    echo "${id#*:}:x:${id%%:*}:"
  done
}

busybox_image() {
  root=$work/busybox
  mkdir -p "$root/bin" "$root/etc" "$root/root" "$root/home/dev" "$root/tmp" "$root/dev" "$root/proc" "$root/sys" "$root/usr/sbin" "$root/usr/bin"
  unpack_package busybox-static "$work/pkg"
  cp "$work/pkg/bin/busybox" "$root/bin/busybox"
  for applet in $("$root/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s /bin/busybox "$root/bin/$applet"
  done
  printf '#!/bin/sh\necho "This account is currently not available."\nexit 1\n' >"$root/usr/sbin/nologin"
  chmod 755 "$root/usr/sbin/nologin"
  { echo 'root:x:0:0:root:/root:/bin/sh'; echo 'dev:x:1000:1000:Dev Loper,,,:/home/dev:/bin/sh'; edge_users /bin/sh; broken_lines; } >"$root/etc/passwd"
  { echo 'root:x:0:'; groups_of_users; } >"$root/etc/group"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  chmod 1777 "$root/tmp"
  chmod 700 "$root/root"
  # Owners by name of the entry: works without root, and dev's home is the only exception.
  tar -C "$root" --owner=0 --group=0 --exclude=./home/dev -cf "$work/busybox.tar" .
  tar -C "$root" --owner=1000 --group=1000 -rf "$work/busybox.tar" ./home/dev
  import busybox --change "ENV PATH=$PATH_ALL" --change 'ENV HATCHWAY_IMAGE=busybox' --change "CMD $WAIT" <"$work/busybox.tar"
}

scratch_image() {
  have cc || have gcc || die 'building hatchway-scratch needs a C compiler (apt-get install gcc libc6-dev)'
  mkdir -p "$work/scratch"
  "$(command -v cc || command -v gcc)" -static -Os -s -o "$work/scratch/prog" "$here/images/prog.c"
  tar -C "$work/scratch" --owner=0 --group=0 -c ./prog | import scratch --change 'CMD ["/prog"]'
}

# Complete means: debootstrap ended, and every package of the list is in.
debian_root_complete() {
  [ -f "$1/var/lib/dpkg/status" ] && [ ! -d "$1/debootstrap" ] || return 1
  for package in $(echo "$PACKAGES" | tr , ' '); do
    grep -qx "Package: $package" "$1/var/lib/dpkg/status" || return 1
  done
}

debian_root() {
  debian_root_complete "$cache/debian" && return 0
  is_root || die 'the Debian image needs root once (debootstrap): run scripts/images.sh as root'
  apt_need debootstrap
  mirror=$(debian_mirror)
  say "making a Debian $SUITE root in $cache/debian ${mirror:+from $mirror }(a minute or two, once)"
  rm -rf "$cache/debian.new"
  quietly "$cache/debootstrap.log" debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$cache/debian.new" "$mirror" ||
    die 'debootstrap failed'
  rm -rf "$cache/debian.new/var/cache/apt/archives/"*.deb "$cache/debian.new/var/lib/apt/lists/"*
  rm -rf "$cache/debian"
  mv "$cache/debian.new" "$cache/debian"
}

debian_image() {
  debian_root
  is_root || die 'the Debian image needs root to read its root file system: run scripts/images.sh as root'
  root=$cache/debian
  extra=$work/debian
  mkdir -p "$extra/etc" "$extra/home/dev" "$extra/run/sshd" "$extra/etc/sudoers.d"
  { cat "$root/etc/passwd"; echo 'dev:x:1000:1000:Dev Loper,,,:/home/dev:/bin/bash'; edge_users /bin/bash; broken_lines; } >"$extra/etc/passwd"
  { cat "$root/etc/group"; groups_of_users; } >"$extra/etc/group"
  # '*' is no password but no lock either: sshd refuses keys too for an account whose entry starts with '!'.
  { cat "$root/etc/shadow"; sed -n 's/^\([a-z0-9-]*\):x:1[0-9]*:.*/\1:*:19000:0:99999:7:::/p' "$extra/etc/passwd"; } >"$extra/etc/shadow"
  cp -a "$root/etc/skel/." "$extra/home/dev/"
  echo 'dev ALL=(ALL) NOPASSWD:ALL' >"$extra/etc/sudoers.d/dev"
  chmod 644 "$extra/etc/passwd" "$extra/etc/group"
  chmod 640 "$extra/etc/shadow"
  chmod 440 "$extra/etc/sudoers.d/dev"
  # No host keys in an image: whoever runs its sshd makes them. --anchored, or ./etc/passwd would also hit deeper ones.
  tar -C "$root" --numeric-owner --anchored --exclude='./etc/passwd' --exclude='./etc/group' --exclude='./etc/shadow' \
    --exclude='./etc/ssh/ssh_host_*' --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' \
    --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -cf "$work/debian.tar" .
  tar -C "$extra" --owner=0 --group=0 --numeric-owner -rf "$work/debian.tar" ./etc/passwd ./etc/group ./etc/sudoers.d/dev ./run/sshd
  tar -C "$extra" --owner=0 --group=42 --numeric-owner -rf "$work/debian.tar" ./etc/shadow
  tar -C "$extra" --owner=1000 --group=1000 --numeric-owner -rf "$work/debian.tar" ./home/dev
  import debian --change "ENV PATH=$PATH_ALL" --change 'ENV HATCHWAY_IMAGE=debian' --change "CMD $WAIT" <"$work/debian.tar"
}

[ $# -gt 0 ] || set -- busybox debian scratch
wanted=
for image; do
  case $image in
    busybox | debian | scratch) current "$image" || wanted="$wanted $image" ;;
    *) die "no image is called $image: busybox, debian, scratch" ;;
  esac
done
[ -n "$wanted" ] || exit 0
docker version >/dev/null 2>&1 || die 'no container engine answers; scripts/engine.sh starts one'

# Two runs at once (tests and a demo) would build the same: the second waits, then finds it done.
if have flock; then
  exec 9>"$cache/lock"
  flock 9
fi
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
umask 022
for image in $wanted; do
  current "$image" || "${image}_image"
done
