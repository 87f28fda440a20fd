# shellcheck shell=bash disable=SC2154
# Kerberos, the database server, the file servers, and who may do what.

PUBGID=-1001 # pts id of the group mirror-publishers

realm() { # principals: mirror writes, release releases, nobody may neither, admin may everything
  local R=$H/db1/root p
  [ ! -e "$R/etc/krb5kdc/made" ] || return 0
  mkdir -p "$R/etc/krb5kdc"
  cat >"$R/etc/krb5kdc/kdc.conf" <<K
[realms]
  $REALM = {
    database_name = /var/lib/krb5kdc/principal
    key_stash_file = /etc/krb5kdc/stash
    max_life = 24h
    max_renewable_life = 7d
    supported_enctypes = aes256-cts-hmac-sha1-96:normal
  }
K
  enter db1 kdb5_util create -r "$REALM" -s -P "cell-$RANDOM$RANDOM$RANDOM" >/dev/null 2>&1
  {
    echo "addprinc -randkey afs/$CELL"
    echo "ktadd -k /etc/openafs/server/rxkad.keytab afs/$CELL"
    for p in admin mirror release nobody; do
      echo "addprinc -randkey $p"
      echo "ktadd -k /etc/keytabs/$p.keytab $p"
    done
  } | enter db1 kadmin.local >/dev/null 2>"$H/db1/kadmin.log"
  enter db1 akeyconvert >/dev/null # rxkad.keytab -> KeyFileExt
  cp "$R"/etc/keytabs/*.keytab "$H/cl1/root/etc/keytabs/"
  touch "$R/etc/krb5kdc/made"
}

bos() { # bos HOST BNODE-LINES...: the overseer starts the rest
  local h=$1 R=$H/$1/root; shift
  if [ "$h" != db1 ]; then # every server has the cell's key
    install -m 600 "$H/db1/root/etc/openafs/server/KeyFileExt" "$R/etc/openafs/server/"
  fi
  [ -e "$R/etc/openafs/BosConfig" ] ||
    printf '%s\n' 'restrictmode 0' 'restarttime 16 0 0 0 0' 'checkbintime 16 0 0 0 0' "$@" >"$R/etc/openafs/BosConfig"
  enter "$h" pgrep -x bosserver >/dev/null && return 0
  # not under setpriv: the overseer outlives the command that starts it
  enter "$h" setpriv --pdeathsig clear bash -c 'setsid /usr/sbin/bosserver -nofork </dev/null >/var/log/openafs/bos.out 2>&1 &'
}

start_db() {
  realm
  enter db1 pgrep -x krb5kdc >/dev/null || enter db1 setpriv --pdeathsig clear /usr/sbin/krb5kdc
  bos db1 'bnode simple ptserver 1' 'parm /usr/lib/openafs/ptserver' end \
    'bnode simple vlserver 1' 'parm /usr/lib/openafs/vlserver' end
  # ubik with one server elects itself at once, but answers 'no quorum' for the first seconds
  wait_for vlserver 60 enter db1 vos listvldb -noauth -quiet
}

start_fs() {
  bos "$1" 'bnode dafs dafs 1' \
    'parm /usr/lib/openafs/dafileserver -p 23 -busyat 600 -L -hr 1' \
    'parm /usr/lib/openafs/davolserver -p 16 -log' \
    'parm /usr/lib/openafs/salvageserver' \
    'parm /usr/lib/openafs/dasalvager' end
  wait_for "volserver of $1" 60 enter db1 vos partinfo "$(ip_of "$1")" -noauth
}

registered() { enter db1 vos listaddrs -noresolve -noauth 2>/dev/null | grep -qw "$(ip_of "$1")"; }
may_write() { enter db1 bash -c 'pts examine admin -localauth | grep -q Name || pts createuser admin -localauth'; }

# rights: the group that may write into mirror volumes has the user mirror and, because afsd.fuse cannot hold tokens,
# the address of cl1 (a pts "machine" entry). A file server reads a host's groups when it first hears from it and keeps
# them (-hr hours), so this comes before the file servers.
rights() {
  wait_for "a writable ptserver" 90 may_write
  # shellcheck disable=SC2016
  enter db1 env CL1="$(ip_of cl1)" GID=$PUBGID bash -c '
    has() { pts examine "$1" -localauth 2>/dev/null | grep -q Name; }
    pts membership system:administrators -localauth | grep -qw admin || pts adduser admin system:administrators -localauth
    for u in mirror release nobody "$CL1"; do has "$u" || pts createuser "$u" -localauth; done
    has mirror-publishers || pts creategroup mirror-publishers -id "$GID" -localauth
    for u in mirror "$CL1"; do
      pts membership mirror-publishers -localauth | grep -qx "  $u *" || pts adduser "$u" mirror-publishers -localauth
    done' >/dev/null
}

servers() {
  local h p pids=()
  start_db
  rights
  for h in $FS_HOSTS; do
    { start_fs "$h"; wait_for "registration of $h" 60 registered "$h"; } & pids+=($!)
  done
  for p in "${pids[@]}"; do wait "$p" || die "a file server did not start"; done
  log "servers are up"
}
