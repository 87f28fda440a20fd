# shellcheck shell=bash disable=SC2154
# Volumes. A new volume's root directory admits only system:administrators, and without a kernel client there is no
# `fs setacl` and no `fs mkmount`: so volumes are born from a dump that mkdump.pl writes, with ACL and mount points.

# Mount points below /afs/CELL and /afs/.CELL, made with the cell: of the volumes mirror.X, and for tests. The first ones
# are in the directory mirror too, because a spec wants trees and state beside one another. Those whose volume does not
# exist yet dangle. A client keeps what it read of a removed volume, so a test's name is used once: until the next up.
MIRRORS="debian ubuntu pypi apt"
TESTS=$(printf 't%03d ' {1..400})

vldb() { enter db1 vos listvldb -name "$1" -noresolve -noauth -quiet 2>/dev/null; }
has_vol() { vldb "$1" >/dev/null; }

restore() { # restore SERVER NAME QUOTA-KB [ENTRY=TARGET...]
  local fs=$1 n=$2 q=$3; shift 3
  perl "$HERE/mkdump.pl" "$n" "$q" -204=rlidwka "$PUBGID=rlidwk" -101=rl -- "$@" |
    enter db1 vos restore "$fs" a "$n" -localauth >/dev/null 2>"$H/db1/restore.$n.log" ||
    die "vos restore $n: $(cat "$H/db1/restore.$n.log")"
}

mkvol() {
  local n='' q=2000000 rw=fs0 sites=$SITES small='' release=1 mounts=() a h part
  for a in "$@"; do
    case $a in
    --rw-beside) rw=fs1 ;;
    --rw-only-elsewhere) rw=fs0 ;; # the default
    --small) small=1 ;;
    --no-ro) sites='' release='' ;;
    --unreleased) release='' ;;
    --mount=*) mounts+=("${a#--mount=}.") ;; # ENTRY=#VOLUME: a mount point in the new volume
    [0-9]*) q=$a ;;
    -*) usage ;;
    *) n=$a ;;
    esac
  done
  [ -n "$n" ] || usage
  [ ${#n} -le 22 ] || die "a volume's name has at most 22 characters: $n"
  has_vol "$n" || restore $rw "$n" "$q" "${mounts[@]}"
  for h in $sites; do
    part=a; [ "$h" != fs1 ] || [ -z "$small" ] || part=c
    # `vos addsite` is not idempotent: exit 1, "RO already exists on partition"
    vldb "$n" | grep -q "server $(ip_of "$h") partition /vicep. RO" || enter db1 vos addsite "$h" $part "$n" -localauth >/dev/null
  done
  [ -n "$release" ] || return 0
  # only what was never released: a half-done or locked release is the experimenter's business
  if vldb "$n" | grep -q 'Not released'; then enter db1 vos release "$n" -localauth >/dev/null; fi
}

root_cell() {
  has_vol root.cell && return 0
  local v entries=()
  for v in $MIRRORS; do entries+=("$v=#mirror.$v."); done
  has_vol root.mirror || restore fs0 root.mirror 5000 "${entries[@]}"
  mkvol root.mirror
  entries+=("mirror=#root.mirror." "state=#mirror.state.")
  for v in $TESTS; do entries+=("$v=#$v."); done
  restore fs0 root.cell 5000 "${entries[@]}"
  mkvol root.cell
}

rmvol() { # also a locked one, also with a server off
  local n=${1:-} site
  [ -n "$n" ] || usage
  vldb "$n" | grep -q LOCKED && enter db1 vos unlock "$n" -localauth >/dev/null
  while read -r site; do
    # shellcheck disable=SC2086
    enter db1 vos remove $site -localauth >/dev/null 2>&1 || true
  done < <(vldb "$n" | awk -v n="$n" '$1=="server" { print $2, substr($4,8), n ($5=="RO" ? ".readonly" : "") }' | sort -k3 -r)
  if has_vol "$n"; then enter db1 vos delentry "$n" -localauth >/dev/null; fi
}
