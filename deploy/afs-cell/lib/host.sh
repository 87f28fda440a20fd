# shellcheck shell=bash disable=SC2154
# Hosts. Each is a set of namespaces (mount, uts, ipc, pid, net) held by one init process: killing that one pid takes
# everything of the host with it: daemons, mounts, its end of the cable. The host "sw" holds the bridge; it has no uplink.

log() { printf '%(%H:%M:%S)T %s\n' -1 "$*" >&2; }
die() { log "FATAL: $*"; exit 1; }
ip_of() { echo "$NET.${ADDR[$1]}"; }
known() { [ -n "${1:-}" ] && [ -n "${ADDR[$1]:-}" ] || die "no such host: ${1:-}; there are $HOSTS"; }

# A pid is ours only if its command line names this cell and this host: pids are used again.
pid_of() {
  local p line
  p=$(cat "$H/$1/init.pid" 2>/dev/null) && [ -n "$p" ] || return 1
  line=$(tr '\0' ' ' 2>/dev/null <"/proc/$p/cmdline") || return 1
  [[ $line == *"afs-cell-init $DIR $1 "* ]] || return 1
  echo "$p"
}
pid_up() { pid_of "$1" || die "host $1 is off"; }

# on HOST CMD...: the command dies with its nsenter, so that killing what was started here kills the command.
enter() {
  local p; p=$(pid_up "$1"); shift
  nsenter -t "$p" -m -u -i -n -p --root --wdns=/ -- setpriv --pdeathsig KILL \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb ${KRB5CCNAME:+KRB5CCNAME=$KRB5CCNAME} "$@"
}
on() {
  local p; p=$(pid_up "$1"); shift
  exec nsenter -t "$p" -m -u -i -n -p --root --wdns=/ -- setpriv --pdeathsig KILL \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb ${KRB5CCNAME:+KRB5CCNAME=$KRB5CCNAME} "$@"
}

wait_for() { # wait_for WHAT SECONDS CMD...
  local what=$1 n=$2 i; shift 2
  for ((i = 0; i < n * 20; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.05; done
  die "timeout waiting for $what"
}

# init HOST: runs as pid 1 of the new namespaces.
init() {
  local h=$1 R=$H/$1/root
  hostname "$h"
  mount --make-rprivate /
  mount --rbind /dev "$R/dev"
  mount --bind /usr "$R/usr"; mount -o remount,bind,ro "$R/usr"
  mount -t proc proc "$R/proc"
  mount -t tmpfs tmpfs "$R/run"
  mkdir -p "$R/run/openafs"
  [ ! -d "$R/vicepc" ] || mount -t tmpfs -o size=24m small "$R/vicepc"
  ip link set lo up
  # bash as pid 1 reaps orphans (bosserver's grandchildren), and otherwise does nothing
  exec chroot "$R" /bin/bash -c 'trap "" INT HUP; while :; do sleep 3600 & wait $!; done' "afs-cell-init $DIR $h "
}

boot() { # start a host's namespaces
  local h=$1 u p='' i
  pid_of "$h" >/dev/null && return 0
  mkdir -p "$H/$h"
  disk "$h"
  # setsid: the host outlives this shell and gets no signal of its terminal
  AFS_CELL_DIR="$DIR" setsid unshare --mount --uts --ipc --pid --net --fork --kill-child=KILL \
    "$HERE/cell" __init "$h" </dev/null >"$H/$h/init.log" 2>&1 &
  u=$!
  for ((i = 0; i < 200; i++)); do
    p=$(tr -d ' ' 2>/dev/null <"/proc/$u/task/$u/children") || true
    if [ -n "$p" ]; then
      echo "$p" >"$H/$h/init.pid"
      pid_of "$h" >/dev/null && break
    fi
    sleep 0.02
  done
  pid_of "$h" >/dev/null || die "host $h did not start: $(cat "$H/$h/init.log")"
  if [ "$h" = sw ]; then
    nsenter -t "$p" -n ip link add br0 type bridge
    nsenter -t "$p" -n ip link set br0 up
    return
  fi
  plug "$h"
  local paths
  IFS=: read -ra paths <<<"$(readlink -f "$HERE/../.."):${AFS_CELL_BIND:-}"
  bind_into "$h" "${paths[@]}"
}

plug() { # a cable between the bridge and the host
  local h=$1 p sw fs
  p=$(pid_up "$h"); sw=$(pid_up sw)
  nsenter -t "$sw" -n ip link del "v$h" 2>/dev/null || true # of the last boot, where the kernel was slow to drop it
  nsenter -t "$sw" -n ip link add "v$h" type veth peer name eth0 netns "$p"
  nsenter -t "$sw" -n ip link set "v$h" master br0 up
  nsenter -t "$p" -n ip addr add "$(ip_of "$h")/16" dev eth0
  case $h in web*) # a region's web server reads that region's site and no other: see refuse.pl
    enter "$h" bash -c 'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore' # these addresses are for itself
    for fs in $FS_HOSTS; do
      [ "$fs" = "fs${h#web}" ] || nsenter -t "$p" -n ip addr add "$(ip_of "$fs")/32" dev lo
    done ;;
  esac
  nsenter -t "$p" -n ip link set eth0 up
}

cable() { nsenter -t "$(pid_up sw)" -n ip link set "v$1" "$2"; }
cable_cut() { ! nsenter -t "$(pid_up sw)" -n ip -o link show "v$1" 2>/dev/null | grep -q '[<,]UP[,>]'; }

slow() {
  nsenter -t "$(pid_up sw)" -n tc qdisc del dev "v$1" root 2>/dev/null || true
  [ "$2" = off ] || nsenter -t "$(pid_up sw)" -n tc qdisc add dev "v$1" root tbf rate "$2" burst 64kb latency 200ms
}

# bind_into HOST PATH...: seen from the host's mount namespace, this machine's file system is beside the host's root.
bind_into() {
  local h=$1 R=$H/$1/root p d; shift
  p=$(pid_up "$h")
  for d in "$@"; do
    [ -n "$d" ] || continue
    case $d in /*) ;; *) die "not an absolute path: $d" ;; esac
    [ -d "$d" ] || die "not a directory: $d"
    mkdir -p "$R$d"
    grep -q " $R$d " "/proc/$p/mountinfo" && continue
    nsenter -t "$p" -m -- mount --bind "$d" "$R$d"
  done
}

power_off() {
  local h=$1 p
  p=$(pid_of "$h") || return 0
  kill -9 "$p"
  while [ -d "/proc/$p" ]; do sleep 0.02; done
  rm -f "$H/$h/init.pid"
}

power_on() {
  boot "$1"
  case $1 in
  db1) start_db ;;
  fs*) start_fs "$1" ;;
  *) mount_client "$1" ;;
  esac
}

forward() {
  local h=${1:-} listen=${2:-} to=${3:-}
  known "$h"; [ -n "$to" ] || usage
  local run=(go run "$HERE/forward")
  [ ! -x "$DIR/forward" ] || run=("$DIR/forward")
  cd "$HERE/../.."
  exec "${run[@]}" --pid "$(pid_up "$h")" --listen "$listen" --to "$to" ${4:+--inside}
}
