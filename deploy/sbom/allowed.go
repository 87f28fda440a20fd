package main

// allowed are the licences (SPDX identifiers) that a module may have without
// being looked at: they ask for their text to go along, and for no more.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-2-Clause-Views", "BSD-3-Clause", "ISC", "MIT"}

// exception is what a person decided on one file, or on a module without one.
type exception struct {
	module   string
	file     string   // within the module, "" for none at all
	pin      string   // SHA-256 of the file, or the version of a module without one
	licences []string // none where there is none
	why      string
}

var exceptions = []exception{
	{"github.com/nexus-rpc/nexus-proto-annotations", "", "v0.1.0", nil,
		"none found in the module; its authors' other module (nexus-rpc/sdk-go) is MIT, and go.temporal.io/api imports it: ask them before you distribute programs outside"},
	{"github.com/cactus/go-statsd-client/statsd", "", "v0.0.0-20200423205355-cb0885a1018c", []string{"MIT"},
		"its files say MIT-style, in a LICENSE above the module; v5 of the same has that file"},
	{"github.com/go-sql-driver/mysql", "LICENSE", "fab3dd6bdab226f1c08630b1dd917e11fcb4ec5e1e020e2c16f83a0a13863e85", []string{"MPL-2.0"},
		"linked unchanged; who distributes the program says where its source is, which THIRD-PARTY-NOTICES does by module and version"},
	{"modernc.org/libc", "LICENSE-3RD-PARTY.md", "f597097efe3d97021f89170746bd3a0fb9a8b6fb26b82043ed68a4e0283bee6c", []string{"BSD-2-Clause", "BSD-3-Clause", "MIT"},
		"Go, musl, go-netdb and nixpkgs, each BSD or MIT, with a history of musl's parts in prose"},
	{"modernc.org/memory", "LICENSE-LOGO", "5ae5bee3072a841376451b48d8cfcec7188e10543926d5870828d36c8a750dc5", nil,
		"says where a picture comes from, which is not linked"},
}
