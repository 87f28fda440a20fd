// Package rpmrepotest builds small signed rpm repositories of real packages.
package rpmrepotest

import (
	"bytes"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/rpmpack"
)

// Package is an rpm of one file.
type Package struct {
	Name, Version, Arch string // Arch is "noarch" if empty
	Content             string // of /opt/<name>/content
	Unsigned            bool
	Epoch               uint32 // 0 is none
}

// File returns the name of the file, of release 1.
func (p Package) File() string { return p.Name + "-" + p.Version + "-1." + p.arch() + ".rpm" }

func (p Package) arch() string {
	if p.Arch == "" {
		return "noarch"
	}
	return p.Arch
}

// Bytes returns the rpm, signed by key unless that is nil. The same arguments make the same bytes.
func (p Package) Bytes(key *openpgp.Entity) []byte {
	var out bytes.Buffer
	epoch := uint32(rpmpack.NoEpoch)
	if p.Epoch > 0 {
		epoch = p.Epoch
	}
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: p.Name, Version: p.Version, Release: "1", Arch: p.arch(), OS: "linux", Summary: "test package", Description: "test package",
		Licence: "Apache-2.0", Compressor: "gzip", Epoch: epoch, BuildTime: time.Unix(1700000000, 0)})
	if err == nil {
		r.AddFile(rpmpack.RPMFile{Name: "/opt/" + p.Name + "/content", Body: []byte(p.Content + "\n"), Mode: 0o644, Owner: "root", Group: "root", MTime: 1700000000})
		if key != nil && !p.Unsigned {
			r.SetPGPSigner(func(data []byte) ([]byte, error) { return sign(key, data, time.Unix(1700000000, 0)), nil })
		}
		err = r.Write(&out)
	}
	if err != nil {
		panic("rpmrepotest: build: " + err.Error())
	}
	return out.Bytes()
}

// sign returns a binary signature.
func sign(key *openpgp.Entity, data []byte, when time.Time) []byte {
	var out bytes.Buffer
	at := func() time.Time { return when }
	same := false
	if err := openpgp.DetachSign(&out, key, bytes.NewReader(data), &packet.Config{Time: at, NonDeterministicSignaturesViaNotation: &same}); err != nil {
		panic("rpmrepotest: sign: " + err.Error())
	}
	return out.Bytes()
}
