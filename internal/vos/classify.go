package vos

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"mirrorcycle/internal/fault"
)

// ErrExpired is in the tree of an error that a new ticket would mend.
var ErrExpired = errors.New("the ticket or token has expired")

// messages are parts of what vos, k5start and the libraries below print, the
// most telling first, with what they mean.
var messages = []struct {
	text   string
	kind   fault.Kind
	advice string
}{
	{"authentication expired", fault.Unavailable, "the next attempt gets a new ticket"},
	{"Ticket expired", fault.Unavailable, "the next attempt gets a new ticket"},
	{"ticket contained unknown key version", fault.Denied, "distribute the cell's key to all servers (akeyconvert)"},
	{"permission access", fault.Denied, "put the principal into the UserList of every server (bos adduser)"},
	{"not a super user", fault.Denied, "put the principal into the UserList of every server (bos adduser)"},
	{"not authorized", fault.Denied, "put the principal into the UserList of every server (bos adduser)"},
	{"Keytab contains no suitable keys", fault.Config, "check the keytab and the principal (klist -k)"},
	{"not found in Kerberos database", fault.Config, "check the principal"},
	{"Key table file", fault.Config, "check the path of the keytab"},
	{"Cannot contact any KDC", fault.Unavailable, "check that the Kerberos servers run"},
	{"already locked", fault.Conflict, "somebody else works on the volume: wait, or see vos status and vos unlock"},
	{"currently LOCKED", fault.Conflict, "somebody else works on the volume: wait, or see vos status and vos unlock"},
	{"no such entry", fault.Config, "make the volume: starter setup, or vos create"},
	{"Unknown volume ID or name", fault.Config, "make the volume, or release it for the first time"},
	{"as indicated by the VLDB", fault.Config, "the server lost it: vos remsite, vos addsite, vos release -force-reclone"},
	{"does not exist on the server", fault.Config, "check the partition's name"},
	{"has no replicas", fault.Config, "add sites: starter setup, or vos addsite"},
	{"RO already exists", fault.Conflict, "the site is there already"},
	{"already exists", fault.Conflict, "choose another name, or remove it"},
	{"volume is busy", fault.Unavailable, "a transaction has it for up to ten minutes after its vos died"},
	{"already being used", fault.Unavailable, "a transaction has it for up to ten minutes after its vos died"},
	{"No such volume", fault.Config, "vos syncvldb and vos syncserv"},
	{"no such device", fault.Config, "check the partition's name"},
	{"disk is full", fault.NoSpace, "free space on the partition, or move volumes (vos move)"},
	{"No space left", fault.NoSpace, "free space on the partition, or move volumes (vos move)"},
	{"ommunication failure", fault.Unavailable, "check that the server runs and can be reached"},
	{"server or network not responding", fault.Unavailable, "check that the server runs and can be reached"},
	{"no quorum elected", fault.Unavailable, "the database servers have just started; try again"},
	// What vos prints where a site's partition is full, and not only there.
	{"Problems encountered in reading the dump", fault.Unavailable, "see whether the partition of the site is full (vos partinfo)"},
	{"could not be released", fault.Unavailable, "the sites that missed it get it with the next release"},
	{"could not be completed", fault.Unavailable, "the sites that missed it get it with the next release"},
}

// Classify returns nil for exit code 0, else an error whose kind says whether
// to try again. It takes what vos printed on either stream: some messages are
// on the one, some on the other.
func Classify(exit int, stdout, stderr []byte) error {
	if exit == 0 {
		return nil
	}
	text := string(bytes.TrimSpace(stderr)) + "\n" + string(stdout)
	e := &fault.Error{Kind: fault.Unavailable, Op: "vos: run", Err: fmt.Errorf("exit code %d: %s", exit, summary(stderr, stdout))}
	for _, m := range messages {
		if strings.Contains(text, m.text) {
			e.Kind, e.Advice = m.kind, m.advice
			if strings.HasSuffix(m.text, "expired") {
				e.Err = fmt.Errorf("%w: %w", ErrExpired, e.Err)
			}
			break
		}
	}
	return e
}

// summary is the part of the output that tells most, on one line: the last
// lines of stderr, or else of stdout.
func summary(stderr, stdout []byte) string {
	var all []string
	for l := range lines(stderr) {
		all = append(all, l)
	}
	if len(all) == 0 {
		for l := range lines(stdout) {
			all = append(all, l)
		}
	}
	if len(all) > 4 {
		all = all[len(all)-4:]
	}
	return strings.Join(all, "; ")
}
