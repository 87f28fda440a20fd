#!/usr/bin/perl
# mkdump.pl NAME QUOTA-KB [ID=RIGHTS ...] -- [ENTRY=TARGET ...]  >dump
#
# Writes a volume dump for `vos restore`: one root directory with this ACL (pts IDs, such as -204=rlidwka -101=rl)
# and symlinks in it. A TARGET that starts with # or % and ends in . is an AFS mount point (mode 0644), any other a
# plain symlink. The format is that of OpenAFS's src/volser/dumpstuff.c and src/dir/dir.c.
use strict; use warnings;

my ($name, $quota, @args) = @ARGV;
my $now = time;
my $fresh = $now & 0xffffff;    # uniquifiers begin here: clients cache by file ID and data version
my (%acl, @entries);
my %bit = (r => 1, w => 2, i => 4, l => 8, d => 16, k => 32, a => 64);
while (@args) {
  my $arg = shift @args;
  last if $arg eq '--';
  my ($id, $rights) = split /=/, $arg;
  $acl{$id} |= $bit{$_} for split //, $rights;
}
@entries = map { [split /=/, $_, 2] } @args;

# ACL: 192 bytes, big endian, sorted by ID, because the file server merges sorted lists.
sub acl {
  my @ids = sort { $a <=> $b } keys %acl;
  my $blob = pack('N5', 20 + 8 * @ids, 1, scalar @ids, scalar @ids, 0) . join '', map { pack 'l>N', $_, $acl{$_} } @ids;
  return $blob . "\0" x (192 - length $blob);
}

sub hash {
  my $h = 0;
  $h = ($h * 173 + $_) & 0xffffffff for unpack 'C*', shift;
  my $t = $h & 127;
  return $t if !$t;
  return $h >= 2**31 ? 128 - $t : $t;
}

# Directory: pages of 64 slots of 32 bytes. Slots 0 to 12 of page 0 are the header, slot 0 of each other page is that
# page's; an entry takes as many slots as its name needs, in one page.
sub directory {
  my @list = (['.', 1, 1], ['..', 1, 1]);
  push @list, [$entries[$_][0], 2 * $_ + 2, $fresh + $_ + 1] for 0 .. $#entries;
  my @bucket = (0) x 128;
  my @pages = ({ slots => '', used => 13 });
  for my $e (@list) {
    my ($file, $vnode, $unique) = @$e;
    my $n = length $file < 16 ? 1 : 1 + int((length($file) + 1 - 16 + 31) / 32);
    push @pages, { slots => '', used => 1 } if $pages[-1]{used} + $n > 64;
    my $page = $pages[-1];
    my $k = hash($file);
    $page->{slots} .= pack 'a' . 32 * $n, pack 'CCnNNZ*', 1, 0, $bucket[$k], $vnode, $unique, $file;
    $bucket[$k] = 64 * $#pages + $page->{used};
    $page->{used} += $n;
  }
  die "too many entries\n" if @pages > 128;
  my $out = '';
  for my $i (0 .. $#pages) {
    my $page = $pages[$i];
    my $map = '';
    vec($map, $_, 1) = 1 for 0 .. $page->{used} - 1;
    my $head = pack 'nnCa8', ($i ? 0 : scalar @pages), 1234, 64 - $page->{used}, $map;
    my $text = pack 'a32', $head;
    $text .= pack('C128', (map { 64 - $_->{used} } @pages), (64) x (128 - @pages)) . pack('n128', @bucket) if !$i;
    $out .= pack 'a2048', $text . $page->{slots};
  }
  return $out;
}

sub vnode {
  my %v = @_;
  return pack('CNN', 3, $v{number}, $v{unique}) . 't' . pack('C', $v{type}) . 'l' . pack('n', $v{links}) . 'v' . pack('N', $now)
    . 'm' . pack('N', $now) . 'a' . pack('N', 0) . 'o' . pack('N', 0) . 'b' . pack('n', $v{mode}) . 'p' . pack('N', $v{parent})
    . 's' . pack('N', $now) . ($v{acl} ? 'A' . $v{acl} : '') . 'f' . pack('N', length $v{data}) . $v{data};
}

# Dump: header, volume header, vnodes (directories first), end.
my $count = @entries;
my $dump = pack('CNN', 1, 0xB3A11322, 1) . 'v' . pack('N', 1) . "n$name\0" . 't' . pack('nNN', 2, 0, $now);
$dump .= pack('C', 2) . 'i' . pack('N', 1) . 'v' . pack('N', 1) . "n$name\0" . "s\1b\1" . 'u' . pack('N', $fresh + $count + 3) . "t\0"
  . join('', map { $_->[0] . pack 'N', $_->[1] } ['p', 0], ['c', 0], ['q', $quota], ['m', 0], ['d', 2 + $count], ['f', 1 + $count],
    ['a', 0], ['o', 0], ['C', $now], ['A', $now], ['U', $now], ['E', 0], ['B', 0])
  . "O\0M\0";
$dump .= vnode(number => 1, unique => 1, type => 2, links => 2, mode => 0777, parent => 0, data => directory(), acl => acl());
for my $i (0 .. $#entries) {
  my $target = $entries[$i][1];
  $dump .= vnode(number => 2 * $i + 2, unique => $fresh + $i + 1, type => 3, links => 1, mode => $target =~ /^[#%].*\.$/ ? 0644 : 0755,
    parent => 1, data => $target);
}
binmode STDOUT;
print $dump, pack 'CN', 4, 0x3A214B6E;
