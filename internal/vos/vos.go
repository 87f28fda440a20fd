// Package vos reads what the commands of AFS's volume server print.
//
// vos has no output meant for programs, except examine -format. Its exit code
// does not tell what is served, its messages do not name what to do. These
// parsers take what is stable: recorded transcripts of a real cell hold them
// to it.
package vos

import (
	"net/netip"
	"time"
)

// Entry is a volume as the volume location database (VLDB) knows it: what
// vos listvldb -noresolve prints.
type Entry struct {
	Name   string
	RW     uint32 // volume IDs, 0 if there is none
	RO     uint32
	Clone  uint32 // RClone: the clone that an unfinished release was distributing, 0 if none
	Sites  []Site
	Locked bool // Volume is currently LOCKED
}

// Site is one place of a volume.
type Site struct {
	Server    netip.Addr
	Partition string // "a" of /vicepa
	ReadOnly  bool
	State     SiteState
}

// SiteState is how far the last release came at a site.
type SiteState string

// The states that vos listvldb prints behind a site.
const (
	Current     SiteState = ""             // nothing is printed
	NewRelease  SiteState = "New release"  // it has what an unfinished release distributes
	OldRelease  SiteState = "Old release"  // it has not
	NotReleased SiteState = "Not released" // it never got anything
)

// Instance is a volume on one server, as vos examine -format prints it.
type Instance struct {
	Name      string
	ID        uint32
	Server    netip.Addr
	Partition string
	Status    string // "OK", or "BUSY" while a transaction has it; then the rest is unknown
	Created   time.Time
	Updated   time.Time
	Used      int64 // KB
	Quota     int64 // KB, 0 for none
	Files     int64
}

// Transaction is one that vos status lists.
type Transaction struct {
	ID         uint32
	Created    time.Time
	Volume     uint32
	Partition  string
	Procedure  string // "" if none is under way
	LastActive time.Time
	Detail     string // the rest of its text: packet counters, which tell progress
}

// Partition is one that vos partinfo lists.
type Partition struct {
	Name        string // "a" of /vicepa
	Free, Total int64  // KB
}
