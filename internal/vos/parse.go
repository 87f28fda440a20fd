package vos

import (
	"bytes"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"mirrorcycle/internal/fault"
)

// malformed says which line of a command's output cannot be read.
func malformed(command, line string) error {
	return &fault.Error{Kind: fault.Malformed, Op: "vos: read " + command, Err: fmt.Errorf("unexpected line %.120q", line),
		Advice: "report this with the version of openafs-client"}
}

// lines yields the lines without leading and trailing blanks, and without empty ones.
func lines(out []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for l := range bytes.Lines(out) {
			if l := strings.TrimSpace(string(l)); l != "" && !yield(l) {
				return
			}
		}
	}
}

// ParseVLDB reads vos listvldb -noresolve -quiet, which lists entries like
//
//	mirror.debian
//	    RWrite: 536870915     ROnly: 536870916     RClone: 536870916
//	    number of sites -> 2
//	       server 192.0.2.1 partition /vicepa RW Site  -- New release
//	       server 192.0.2.2 partition /vicepa RO Site  -- Old release
//	    Volume is currently LOCKED
func ParseVLDB(out []byte) ([]Entry, error) {
	var all []Entry
	var e *Entry // the entry under way; a line before the first name belongs to none
	for l := range lines(out) {
		switch f := strings.Fields(l); {
		case strings.HasPrefix(l, "VLDB entries for"), strings.HasPrefix(l, "Total entries:"):
		case len(f) == 1 && !strings.HasSuffix(l, ":"):
			all = append(all, Entry{Name: l})
			e = &all[len(all)-1]
		case e == nil:
			return nil, malformed("listvldb", l)
		case strings.HasSuffix(f[0], ":"):
			if err := e.ids(f); err != nil {
				return nil, err
			}
		case f[0] == "server":
			s, err := parseSite(l, f)
			if err != nil {
				return nil, err
			}
			e.Sites = append(e.Sites, s)
		case strings.Contains(l, "LOCKED"):
			e.Locked = true
		}
	}
	return all, nil
}

// ids reads "RWrite: 1 ROnly: 2 RClone: 3"; what it does not know, it passes over.
func (e *Entry) ids(f []string) error {
	known := map[string]*uint32{"RWrite:": &e.RW, "ROnly:": &e.RO, "RClone:": &e.Clone}
	for i := 0; i+1 < len(f); i += 2 {
		n, err := strconv.ParseUint(f[i+1], 10, 32)
		if err != nil {
			return malformed("listvldb", strings.Join(f, " "))
		}
		if to := known[f[i]]; to != nil {
			*to = uint32(n)
		}
	}
	return nil
}

func parseSite(l string, f []string) (Site, error) {
	if len(f) < 6 || f[2] != "partition" {
		return Site{}, malformed("listvldb", l)
	}
	addr, err := netip.ParseAddr(f[1])
	partition, ok := strings.CutPrefix(f[3], "/vicep")
	if err != nil || !ok || (f[4] != "RW" && f[4] != "RO" && f[4] != "BK") {
		return Site{}, malformed("listvldb", l)
	}
	s := Site{Server: addr, Partition: partition, ReadOnly: f[4] == "RO"}
	if _, state, ok := strings.Cut(l, "-- "); ok {
		s.State = SiteState(strings.TrimSpace(state))
	}
	return s, nil
}

// ParseExamine reads vos examine -format: for each site lines of a key, tabs
// and a value, beginning with the name, or with the ID where a transaction has
// the volume, and between them the database's entry in words.
func ParseExamine(out []byte) ([]Instance, error) {
	var all []Instance
	var i *Instance
	for l := range lines(out) {
		key, value, ok := strings.Cut(l, "\t")
		if !ok {
			i = nil // words
			continue
		}
		value = strings.TrimSpace(value)
		if i == nil || (key == "name" && i.ID != 0) {
			all = append(all, Instance{})
			i = &all[len(all)-1]
		}
		if err := i.set(key, value); err != nil {
			return nil, malformed("examine", l)
		}
	}
	return all, nil
}

func (i *Instance) set(key, value string) (err error) {
	first, _, _ := strings.Cut(value, "\t")
	first = strings.TrimSpace(first)
	number := func() int64 {
		n, e := strconv.ParseInt(first, 10, 64)
		err = e
		return n
	}
	switch key {
	case "name":
		i.Name = first
	case "id":
		i.ID = uint32(number())
	case "serv":
		i.Server, err = netip.ParseAddr(first)
	case "part":
		i.Partition = strings.TrimPrefix(first, "/vicep")
	case "status":
		i.Status = first
	case "creationDate":
		i.Created = time.Unix(number(), 0).UTC()
	case "updateDate":
		i.Updated = time.Unix(number(), 0).UTC()
	case "diskused":
		i.Used = number()
	case "maxquota":
		i.Quota = number()
	case "filecount":
		i.Files = number()
	}
	return err
}

const cTime = "Mon Jan _2 15:04:05 2006"

// ParseStatus reads vos status: blocks between dashes such as
//
//	transaction: 12  created: Sun Nov 22 16:21:33 2026
//	lastActiveTime: Sun Nov 22 16:21:33 2026
//	attachFlags:  offline
//	volume: 536870918  partition: /vicepa  procedure: Restore
//	packetRead: 44733  lastReceiveTime: Sun Nov 22 16:21:33 2026
//	packetSend: 1  lastSendTime: Sun Nov 22 16:21:33 2026
//
// Times are those of the zone that vos ran in, which has to be UTC.
func ParseStatus(out []byte) ([]Transaction, error) {
	var all []Transaction
	var t *Transaction
	for l := range lines(out) {
		key, rest, ok := strings.Cut(l, ":")
		rest = strings.TrimSpace(rest)
		switch {
		case key == "transaction" && ok:
			all = append(all, Transaction{})
			t = &all[len(all)-1]
			id, created, _ := strings.Cut(rest, "created:")
			n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 32)
			at, err2 := time.Parse(cTime, strings.TrimSpace(created))
			if err != nil || err2 != nil {
				return nil, malformed("status", l)
			}
			t.ID, t.Created = uint32(n), at
		case t == nil || !ok: // what stands before the first, and dashes
		case key == "lastActiveTime":
			at, err := time.Parse(cTime, rest)
			if err != nil {
				return nil, malformed("status", l)
			}
			t.LastActive = at
		case key == "volume":
			id, more, _ := strings.Cut(rest, "partition:")
			partition, procedure, _ := strings.Cut(more, "procedure:")
			n, err := strconv.ParseUint(strings.TrimSpace(id), 10, 32)
			if err != nil {
				return nil, malformed("status", l)
			}
			t.Volume, t.Procedure = uint32(n), strings.TrimSpace(procedure)
			t.Partition = strings.TrimPrefix(strings.TrimSpace(partition), "/vicep")
		default:
			t.Detail += l + "\n"
		}
	}
	return all, nil
}

// ParsePartinfo reads vos partinfo: lines such as
// "Free space on partition /vicepa: 66561392 K blocks out of total 263174212".
func ParsePartinfo(out []byte) ([]Partition, error) {
	var all []Partition
	for l := range lines(out) {
		rest, ok := strings.CutPrefix(l, "Free space on partition /vicep")
		if !ok {
			continue
		}
		var p Partition
		name, numbers, _ := strings.Cut(rest, ":")
		if n, err := fmt.Sscanf(numbers, " %d K blocks out of total %d", &p.Free, &p.Total); n != 2 || err != nil {
			return nil, malformed("partinfo", l)
		}
		p.Name = name
		all = append(all, p)
	}
	return all, nil
}
