package debrepo

import (
	"bytes"
	"crypto"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"mirrorcycle/internal/fault"
)

// Field is one "Name: value" of a stanza. Lines after the first must already
// begin with a blank.
type Field struct{ Name, Value string }

// WritePackage writes one stanza of a Packages file: Package, Version and
// Architecture, then the extra fields, then Filename, Size and the digests.
func WritePackage(w io.Writer, p Package, extra ...Field) error {
	fields := []Field{{"Package", p.Name}, {"Version", p.Version}, {"Architecture", p.Architecture}}
	fields = append(fields, extra...)
	fields = append(fields, Field{"Filename", p.Filename}, Field{"Size", fmt.Sprint(p.Size)},
		Field{"MD5sum", p.Hashes.MD5}, Field{"SHA1", p.Hashes.SHA1}, Field{"SHA256", p.Hashes.SHA256}, Field{"SHA512", p.Hashes.SHA512})
	return writeStanza(w, fields)
}

func writeStanza(w io.Writer, fields []Field) error {
	var b strings.Builder
	for _, f := range fields {
		if f.Value != "" {
			b.WriteString(f.Name + ": " + f.Value + "\n")
		}
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Text renders a Release file that ParseRelease reads back as it was. Every
// field that apt reads is kept: a mirror that re-signs and loses NotAutomatic
// would give its clients backports unasked.
func (r *Release) Text() []byte {
	var b bytes.Buffer
	date := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 MST")
	}
	yes := func(v bool) string {
		if v {
			return "yes"
		}
		return ""
	}
	for _, f := range []Field{
		{"Origin", r.Origin}, {"Label", r.Label}, {"Suite", r.Suite}, {"Version", r.Version}, {"Codename", r.Codename},
		{"Changelogs", r.Changelogs}, {"Snapshots", r.Snapshots}, {"Date", date(r.Date)}, {"Valid-Until", date(r.ValidUntil)},
		{"NotAutomatic", yes(r.NotAutomatic)}, {"ButAutomaticUpgrades", yes(r.ButAutomaticUpgrades)},
		{"Acquire-By-Hash", yes(r.AcquireByHash)}, {"No-Support-for-Architecture-all", r.NoSupportForArchitectureAll},
		{"Signed-By", r.SignedBy}, {"Architectures", strings.Join(r.Architectures, " ")},
		{"Components", strings.Join(r.Components, " ")}, {"Description", r.Description},
	} {
		if f.Value != "" {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
		}
	}
	files := slices.SortedFunc(slices.Values(r.Files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, a := range Algorithms {
		header := false
		for _, f := range files {
			digest := f.Hashes.Get(a)
			if digest == "" {
				continue
			}
			if !header {
				fmt.Fprintf(&b, "%s:\n", a)
				header = true
			}
			fmt.Fprintf(&b, " %s %8d %s\n", digest, f.Size, f.Path)
		}
	}
	return b.Bytes()
}

// Clearsign makes an InRelease file of a Release file, signed at the given time
// by every key. A key without a usable secret part is fault.Config.
func Clearsign(release []byte, at time.Time, keys ...*openpgp.Entity) ([]byte, error) {
	cfg := signConfig(at)
	private := make([]*packet.PrivateKey, 0, len(keys))
	for _, k := range keys {
		signing, ok := k.SigningKey(at)
		if !ok || signing.PrivateKey == nil {
			return nil, signError(fmt.Errorf("key %X cannot sign at %s", k.PrimaryKey.Fingerprint, at))
		}
		private = append(private, signing.PrivateKey)
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, private, cfg)
	if err != nil {
		return nil, signError(err)
	}
	// The decoder gives the text back with its last newline; the encoder adds one.
	if _, err := w.Write(bytes.TrimSuffix(release, []byte("\n"))); err != nil {
		return nil, signError(err)
	}
	if err := w.Close(); err != nil {
		return nil, signError(err)
	}
	return withChecksum(b.Bytes())
}

// withChecksum armors the signature again: clearsign leaves the checksum line
// out, which RFC 9580 allows and GnuPG of Debian 12 complains about.
func withChecksum(signed []byte) ([]byte, error) {
	i := bytes.LastIndex(signed, beginSignature)
	block, err := armor.Decode(bytes.NewReader(signed[i:]))
	if err != nil {
		return nil, signError(err)
	}
	out := bytes.NewBuffer(bytes.Clone(signed[:i]))
	w, err := armor.Encode(out, openpgp.SignatureType, nil)
	if err != nil {
		return nil, signError(err)
	}
	if _, err := io.Copy(w, block.Body); err != nil {
		return nil, signError(err)
	}
	if err := w.Close(); err != nil {
		return nil, signError(err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// SignDetached makes the armored Release.gpg of a Release file.
func SignDetached(release []byte, at time.Time, key *openpgp.Entity) ([]byte, error) {
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, key, bytes.NewReader(release), signConfig(at)); err != nil {
		return nil, signError(err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func signConfig(at time.Time) *packet.Config {
	return &packet.Config{DefaultHash: crypto.SHA512, Time: func() time.Time { return at }}
}

func signError(err error) error {
	return &fault.Error{Kind: fault.Config, Op: "debrepo: sign Release", Err: err,
		Advice: "give a secret key that is valid for signing"}
}
