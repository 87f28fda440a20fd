# shellcheck shell=bash disable=SC2154
# AFS clients: afsd.fuse, and the stand-in for the kernel's store of tokens.

# shim: without the kernel module there is nowhere to put tokens; a library that every program of cl1 loads stands in.
shim() {
  local so=$DIR/shim/afstok.so
  [ -e "$so" ] && return 0
  command -v cc >/dev/null || { log "no C compiler: k5start -t and aklog will not work in cl1"; return 0; }
  mkdir -p "$DIR/shim"
  cc -shared -fPIC -O1 -o "$so.new" "$HERE/afstok.c" -ldl
  mv "$so.new" "$so"
}

mounted() { enter "$1" grep -q " /afs fuse" /proc/mounts; }

refuse() { # the file servers that a web server may not reach
  local h=$1 fs others=()
  enter "$h" pgrep -x refuse >/dev/null && return 0
  for fs in $FS_HOSTS; do [ "$fs" = "fs${h#web}" ] || others+=("$(ip_of "$fs")"); done
  install -m 755 "$HERE/refuse.pl" "$H/$h/root/root/refuse.pl"
  enter "$h" setpriv --pdeathsig clear bash -c 'setsid /root/refuse.pl "$@" </dev/null >/var/log/refuse.log 2>&1 &' - "${others[@]}"
  wait_for "refuse of $h" 10 enter "$h" pgrep -x refuse
}

mount_client() {
  local h=$1 R=$H/$1/root blocks=40000
  if mounted "$h"; then
    enter "$h" pgrep -x afsd.fuse >/dev/null && return 0
    enter "$h" umount -l /afs # it died
  fi
  case $h in web*) refuse "$h" ;; esac
  case $h in cl*)
    blocks=200000
    if [ -e "$DIR/shim/afstok.so" ]; then
      install -m 755 "$DIR/shim/afstok.so" "$R/root/afstok.so"
      echo /root/afstok.so >"$R/etc/ld.so.preload"
    fi ;;
  esac
  # -memcache: no cache files; -dynroot: /afs needs no root.afs; /afs/CELL is read-only, /afs/.CELL read-write;
  # -volume-ttl: the least that afsd takes; a release is noticed at once all the same, by the file server's callback
  enter "$h" setpriv --pdeathsig clear bash -c 'cd /; setsid /usr/sbin/afsd.fuse -dynroot -fakestat -nosettime -memcache -blocks '$blocks' \
    -daemons 4 -volume-ttl 600 -confdir /etc/openafs -mountdir /afs </dev/null >/var/log/afsd.log 2>&1 &'
  wait_for "the AFS client of $h" 60 enter "$h" ls "/afs/$CELL/"
}

umount_client() { # SIGTERM makes afsd.fuse flush and unmount by itself; one that waits for a server does not hear it
  # shellcheck disable=SC2016
  enter "$1" bash -c 'p=$(pgrep -x afsd.fuse) || exit 0; kill $p
    for ((i = 0; i < 100; i++)); do
      state=$(grep "^State:" /proc/$p/status 2>/dev/null) || exit 0
      case $state in *Z*) exit 0 ;; esac
      sleep 0.05
    done
    kill -9 $p; umount -l /afs 2>/dev/null || true'
}
