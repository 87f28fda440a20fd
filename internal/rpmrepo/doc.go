// Package rpmrepo reads rpm repositories: their metadata, mirror lists, and the headers and signatures of packages.
//
// It is pure: it reads bytes and says what they mean. Whatever upstream can
// write is bounded: sizes, depths, numbers of entries, memory of decompressors.
// Documents with a DTD are refused, so entities cannot grow.
//
// Glossary. repomd.xml is the pointer of a repository: it names its data files
// (primary, filelists, …) by location and checksum. The primary lists the
// packages. An href is a location relative to the repository's directory; it is
// a literal path, never an escape. EVR is epoch, version and release. A metalink
// names servers of one repomd.xml and its checksums; a mirror list names
// servers only.
package rpmrepo

import (
	"errors"
	"fmt"

	"mirrorcycle/internal/fault"
)

const noPublish = "nothing of it was published; tell upstream"

func malformed(what string, err error) error {
	return &fault.Error{Kind: fault.Malformed, Op: "rpmrepo: read", Subject: what, Err: err, Advice: noPublish}
}

func hostile(what string, format string, args ...any) error {
	return &fault.Error{Kind: fault.Hostile, Op: "rpmrepo: read", Subject: what, Err: fmt.Errorf(format, args...), Advice: noPublish}
}

func unproved(what string, err error) error {
	return &fault.Error{Kind: fault.Unproved, Op: "rpmrepo: verify", Subject: what, Err: err,
		Advice: "check the keyring of this mirror and whether something answers in upstream's place"}
}

var errNoDTD = errors.New("has a document type, which no client needs")
