package demo

import "mirrorcycle/internal/debrepo/debrepotest"

// deb is a package of the archive.
type deb struct {
	name, arch, depends string
}

// debs are the packages of the archive. Their names stay clear of real ones.
var debs = []deb{
	{"demo-clock", "amd64", ""},
	{"demo-dice", "all", "demo-words"},
	{"demo-hello", "amd64", "libdemo-common"},
	{"demo-notes", "all", ""},
	{"demo-tides", "amd64", ""},
	{"demo-weather", "all", ""},
	{"demo-words", "all", ""},
	{"libdemo-common", "amd64", ""},
}

// build makes the .deb of a version.
func (p deb) build(version int) debrepotest.Package {
	v := debVersion(version)
	return debrepotest.Package{Deb: debrepotest.Deb{Name: p.name, Version: v, Arch: p.arch, Depends: p.depends,
		Files: map[string]string{
			"/usr/bin/" + p.name:                   "#!/bin/sh\necho " + p.name + " " + v + "\n",
			"/usr/share/doc/" + p.name + "/README": p.name + " " + v + " shows how a mirror of an archive works.\n",
		}}}
}

// projects are those of the index, as their authors spell the names.
var projects = []project{
	{name: "demo-abacus", requires: ">=3.8"},
	{name: "Demo_Calendar", requires: ">=3.8"},
	{name: "demo.doodle"},
	{name: "demo-echo", requires: ">=3.7", sdist: true},
	{name: "demo-future", requires: ">=3.99"}, // no Python can install it yet
	{name: "demo-gauge"},
	{name: "Demo.Haiku", requires: ">=3.8"},
	{name: "demo-index", requires: ">=3.6,!=3.7.0"},
}
