# shellcheck shell=bash disable=SC2154
# The disk of a host: a root directory with configuration and empty mount points, made once.

disk() {
  local h=$1 R=$H/$1/root
  [ -e "$R/.made" ] && return 0
  mkdir -p "$R"/{usr,dev,proc,run,tmp,root,afs,etc/openafs/server,etc/keytabs} \
    "$R"/var/{lib/openafs/{local,db},log/openafs,cache/openafs,lib/krb5kdc,tmp}
  chmod 1777 "$R/tmp" "$R/var/tmp"
  chmod 700 "$R/etc/keytabs" "$R/var/lib/openafs/local" "$R/var/lib/openafs/db" # or bosserver grumbles about access
  local d
  for d in bin sbin lib lib64; do ln -sfn "usr/$d" "$R/$d"; done
  cp -a /etc/{passwd,group,nsswitch.conf,protocols,services,ld.so.cache,ld.so.conf,ld.so.conf.d,localtime} "$R/etc/" 2>/dev/null || true
  ln -sfn /proc/mounts "$R/etc/mtab"
  echo "$h" >"$R/etc/hostname"
  network_files "$R"
  afs_files "$h" "$R"
  touch "$R/.made"
}

network_files() {
  local R=$1 d
  : >"$R/etc/resolv.conf" # never any DNS
  [ ! -e "$R/etc/nsswitch.conf" ] || sed -i '/^hosts:/d' "$R/etc/nsswitch.conf"
  echo "hosts: files" >>"$R/etc/nsswitch.conf"
  # a host's own name must map to its real address, not to 127.x
  { echo "127.0.0.1 localhost"; for d in $HOSTS; do echo "$(ip_of "$d") $d.$CELL $d"; done; } >"$R/etc/hosts"
  cat >"$R/etc/krb5.conf" <<K
[libdefaults]
  default_realm = $REALM
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  $REALM = {
    kdc = $(ip_of db1):88
  }
[domain_realm]
  .$CELL = $REALM
  $CELL = $REALM
[logging]
  kdc = FILE:/var/log/krb5kdc.log
K
}

afs_files() {
  local h=$1 R=$2 p
  echo "$CELL" | tee "$R/etc/openafs/ThisCell" >"$R/etc/openafs/server/ThisCell"
  printf '>%s\t#a cell for tests\n%s\t#db1.%s\n' "$CELL" "$(ip_of db1)" "$CELL" |
    tee "$R/etc/openafs/CellServDB" >"$R/etc/openafs/server/CellServDB"
  echo "/afs:/var/cache/openafs:100000" >"$R/etc/openafs/cacheinfo" # afsd.fuse insists on it, even with -memcache
  printf '%s\n' admin release >"$R/etc/openafs/server/UserList"     # who may run privileged vos and bos commands
  case $h in
  fs*)
    for p in a b; do mkdir -p "$R/vicep$p"; touch "$R/vicep$p/AlwaysAttach"; done
    [ "$h" != fs1 ] || mkdir -p "$R/vicepc" # a small tmpfs, empty after each boot
    ip_of "$h" >"$R/var/lib/openafs/local/NetInfo" ;;
  esac
}
