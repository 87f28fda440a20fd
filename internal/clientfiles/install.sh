# Puts the files of the mirrors that are named into their places:
#
#   curl -fsS URL/config/install.sh | sh -s -- [--root DIR] [--dist CODENAME] MIRROR...
#
# A file that is there already and differs is kept beside the new one, with the
# suffix .before-mirror. Other sources stay as they are. Without a name it lists
# the mirrors.
set -eu

say() { printf '%s\n' "$*" >&2; }
die() {
  say "install.sh: $*"
  exit 1
}

root=
dist=
while [ $# -gt 0 ]; do
  case $1 in
    --root) [ $# -gt 1 ] || die "--root needs a directory"; root=$2; shift 2 ;;
    --dist) [ $# -gt 1 ] || die "--dist needs a name"; dist=$2; shift 2 ;;
    --) shift; break ;;
    -*) die "unknown option $1" ;;
    *) break ;;
  esac
done

if [ -z "$dist" ] && [ -r "$root/etc/os-release" ]; then
  dist=$(sed -n 's/^VERSION_CODENAME=//p' "$root/etc/os-release" | tr -d '"')
fi

if [ $# -eq 0 ]; then
  say "apt mirrors, as distribution/mirror:"
  for a in $apt; do say "  ${a%/*}"; done
  say "yum mirrors:"
  for y in $yum; do say "  $y"; done
  say "Python indexes:"
  for p in $python; do say "  $p"; done
  die "name one or more; this machine's distribution is ${dist:-unknown}"
fi

get() { # get PATH: the file on standard output
  if command -v curl >/dev/null; then
    curl -fsS --retry 3 "$base/$1"
  else
    wget -q -t 3 -O - "$base/$1"
  fi
}

inside() { # inside DIR: a link below the root may not lead out of it
  [ -n "$root" ] || return 0
  at=$1
  while [ ! -d "$at" ]; do
    if [ -L "$at" ]; then die "$at is a link"; fi
    at=${at%/*}
  done
  top=$(cd -P -- "$root" && pwd)
  case $(cd -P -- "$at" && pwd)/ in
    "${top%/}"/*) ;;
    *) die "$1 leads out of $root" ;;
  esac
}

put() { # put PATH DESTINATION
  to=$root$2
  inside "${to%/*}"
  mkdir -p "${to%/*}"
  rm -f "$to.new"
  get "$1" >"$to.new" || { rm -f "$to.new"; die "cannot get $base/$1"; }
  chmod 644 "$to.new"
  if [ -e "$to" ] && ! cmp -s "$to" "$to.new" && [ ! -e "$to.before-mirror" ]; then
    mv "$to" "$to.before-mirror"
    say "kept $2.before-mirror"
  fi
  mv "$to.new" "$to"
  say "wrote $2"
}

for mirror in "$@"; do
  found=
  for a in $apt; do
    keyring=${a##*/}
    where=${a%/*}
    if [ "$where" = "$dist/$mirror" ] || [ "$where" = "flat/$mirror" ]; then
      put "apt/$keyring" "/etc/apt/keyrings/$keyring"
      put apt/80mirrors.conf /etc/apt/apt.conf.d/80mirrors.conf
      put "apt/$where.sources" "/etc/apt/sources.list.d/$mirror-${where%%/*}.sources"
      found=1
    fi
  done
  for y in $yum; do
    if [ "$y" = "$mirror" ]; then
      put "yum/$y.repo" "/etc/yum.repos.d/$y.repo"
      found=1
    fi
  done
  for p in $python; do
    if [ "$p" = "$mirror" ]; then
      put "pip/$p/pip.conf" /etc/pip.conf
      put "uv/$p/uv.toml" /etc/uv/uv.toml
      found=1
    fi
  done
  [ -n "$found" ] || die "there is no mirror $mirror for ${dist:-an unknown distribution}; without a name this script lists what there is"
done
