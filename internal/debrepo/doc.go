// Package debrepo reads and writes Debian repository indexes and proves their signatures.
//
// It is pure: bytes in, values out. It opens no file and makes no request, so
// every function can be tested, and fuzzed, with a literal.
//
// The words are those of the Debian repository format
// (https://wiki.debian.org/DebianRepository/Format) and of Debian policy 5:
//
//   - suite: one directory below dists/ with its own Release file.
//   - Release: names every index of the suite with size and digests.
//   - InRelease: the same text inside one OpenPGP cleartext-signed block (RFC 9580, 7).
//   - component, architecture: how a suite is divided.
//   - index: a file that Release names, such as main/binary-amd64/Packages.xz.
//   - by-hash: the same index under a name made of its digest.
//   - stanza: one paragraph of "Field: value" lines; an index is a run of them.
//
// Failures are of three kinds: fault.Unproved (a signature that proves nothing),
// fault.Malformed (not the format it claims to be) and fault.Hostile (a path
// that would leave the tree, or content made to exhaust the machine).
package debrepo
