#!/usr/bin/perl
# mkdump.pl NAME QUOTA_KB [ID=RIGHTS ...] -- [ENTRY=TARGET ...]  >dump
# Writes a volume dump by hand, for `vos restore`: one root directory with the given ACL (pts ids, e.g.
# -204=rlidwka -101=rl) and symlinks in it. A TARGET that starts with # or % and ends in . becomes an
# AFS mount point (mode 0644), anything else a plain symlink. (afsd.fuse can make neither: it puts
# "/afs/" before every symlink target, and there is no pioctl, so no `fs mkmount` and no `fs setacl`.)
use strict;
my ($name,$quota,@a)=@ARGV; my (%acl,@ent); my $now=time; my $u0=$now & 0xffffff; # fresh uniquifiers and data versions: clients cache by fid+version
my %bit=(r=>1,w=>2,i=>4,l=>8,d=>16,k=>32,a=>64);
while (@a) { my $x=shift @a; last if $x eq '--'; my($i,$r)=split /=/,$x; $acl{$i}|=$bit{$_} for split //,$r }
push @ent,[split /=/,$_,2] for @a;
# --- ACL blob: 192 bytes, big endian; entries sorted by id (the file server merges sorted lists)
my @ids=sort {$a<=>$b} keys %acl;
my $acl=pack('N5',20+8*@ids,1,scalar @ids,scalar @ids,0).join('',map {pack 'l>N',$_,$acl{$_}} @ids);
$acl.="\0" x (192-length $acl);
# --- directory blob: 2048-byte pages, 32-byte slots; slots 0..12 of page 0 are the header
sub hash { my $h=0; for (unpack 'C*',shift) { $h=($h*173+$_) & 0xffffffff } my $t=$h&127; return $t if !$t; $h>=2**31 ? 128-$t : $t }
my @hash=(0) x 128; my $slot=13; my $body='';
my $v=0; my @all=(['.',1,1],['..',1,1],map { $v++; [$_->[0],2*$v,$u0+$v] } @ent);
for my $e (@all) { my($n,$vn,$u)=@$e; my $k=hash($n);
  my $len=1+int((length($n)+1-16+31)/32); $len=1 if length($n)<16;      # slots needed for the name
  $body.=pack("CCnNNa".(16+32*($len-1)),1,0,$hash[$k],$vn,$u,$n);
  $body.="\0" x ((32-length($body)%32)%32);
  $hash[$k]=$slot; $slot+=$len }
die "too many entries for one page\n" if $slot>64;
my $bm=''; vec($bm,$_,1)=1 for 0..$slot-1; $bm.="\0"x(8-length $bm);
my $dir=pack('nnC',1,1234,51).$bm; $dir.="\0"x(32-length $dir);
$dir.=pack('C128',64-$slot,(64)x127).pack('n128',@hash).$body; $dir.="\0"x(2048-length $dir);
# --- the dump: header, volume header, vnodes (large = directories first), end
my $o=pack('CNN',1,0xB3A11322,1).'v'.pack('N',1).'n'.$name."\0".'t'.pack('nNN',2,0,$now);
$o.=pack('C',2).'i'.pack('N',1).'v'.pack('N',1).'n'.$name."\0".'s'."\1".'b'."\1".'u'.pack('N',$u0+@all+1).'t'."\0".'p'.pack('N',0)
  .'c'.pack('N',0).'q'.pack('N',$quota).'m'.pack('N',0).'d'.pack('N',2+@ent).'f'.pack('N',1+@ent).'a'.pack('N',0).'o'.pack('N',0)
  .join('',map {$_.pack('N',$now)} qw(C A U)).'E'.pack('N',0).'B'.pack('N',0)."O\0M\0";
sub vnode { my($n,$u,$type,$links,$mode,$parent,$data,$acl)=@_;
  pack('CNN',3,$n,$u).'t'.pack('C',$type).'l'.pack('n',$links).'v'.pack('N',$now).'m'.pack('N',$now).'a'.pack('N',0).'o'.pack('N',0)
  .'b'.pack('n',$mode).'p'.pack('N',$parent).'s'.pack('N',$now).($acl?'A'.$acl:'').'f'.pack('N',length $data).$data }
$o.=vnode(1,1,2,2,0777,0,$dir,$acl);
for my $i (0..$#ent) { my $t=$ent[$i][1]; $o.=vnode(2*$i+2,$u0+$i+1,3,1,$t=~/^[#%].*\.$/?0644:0755,1,$t) }
binmode STDOUT; print $o,pack('CN',4,0x3A214B6E);
