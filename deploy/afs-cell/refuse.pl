#!/usr/bin/perl
# refuse.pl ADDRESS... - answers every Rx call to these file servers with an abort, so that a client which may not
# reach them gives up at once: afsd.fuse ignores ICMP and picks sites at random, and would wait a minute for each.
use strict; use warnings; use IO::Socket::INET; use IO::Select;

my $all = IO::Select->new(map {
  IO::Socket::INET->new(LocalAddr => $_, LocalPort => 7000, Proto => 'udp') || die "$_: $@"
} @ARGV);
$0 = 'refuse';
while (my @ready = $all->can_read) {
  for my $s (@ready) {
    my $from = $s->recv(my $packet, 2048) // next;
    next if length $packet < 28;
    # Rx header: epoch, connection, call, sequence, serial, type, flags, status, security, spare, service
    my ($epoch, $conn, $call, undef, undef, $type, undef, undef, $security, undef, $service) = unpack 'N5C4n2', $packet;
    next unless $type == 1;    # data; to acknowledgements and version requests nothing is due
    $s->send(pack('N5C4n2N', $epoch, $conn, $call, 0, 1, 4, 0, 0, $security, 0, $service, 0xffffffff), 0, $from);    # RX_CALL_DEAD
  }
}
