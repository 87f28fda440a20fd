package service

import (
	"bytes"
	"compress/zlib"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"

	"mirrorcycle/internal/fault"
)

// KeyEnv names the file whose keys encrypt what crosses Temporal: one key a
// line, 32 bytes in base64. The first encrypts, all of them decrypt.
const KeyEnv = "MIRRORCYCLE_KEY_FILE"

// Converter is how the values of workflows cross Temporal: as JSON, which the
// Web UI shows; large ones compressed; and all of them encrypted if KeyEnv names
// a file. Errors are fault.Config.
func Converter() (converter.DataConverter, error) {
	codecs := []converter.PayloadCodec{compressed{}}
	if name := os.Getenv(KeyEnv); name != "" {
		keys, err := readKeys(name)
		if err != nil {
			return nil, &fault.Error{Kind: fault.Config, Op: "temporal: read keys", Subject: name, Err: err,
				Advice: "write one key a line, 32 bytes in base64, as openssl rand -base64 32 prints"}
		}
		codecs = []converter.PayloadCodec{keys, compressed{}} // the last one encodes first
	}
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), codecs...), nil
}

// convert has a client, and the workers made of it, use Converter, for the texts
// of errors, too, if there are keys.
func convert(o *client.Options) error {
	c, err := Converter()
	if err != nil {
		return err
	}
	o.DataConverter = c
	if os.Getenv(KeyEnv) != "" {
		o.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: c, EncodeCommonAttributes: true})
	}
	return nil
}

// Decode reads values that the server gave back as they crossed.
func Decode(in *commonpb.Payloads, out any) error {
	c, err := Converter()
	if err != nil {
		return err
	}
	return c.FromPayloads(in, out)
}

// large is from which size on a value is compressed. A spec of 200 mirrors, or
// the result of its cycle, says the same words over and over.
const large = 16 << 10

// maxValue bounds what a compressed value may become: no message of Temporal has more.
const maxValue = 64 << 20

// compressed compresses values that are large, and leaves the others readable.
type compressed struct{}

const zlibEncoding = "binary/zlib" // as converter.NewZlibCodec writes it

func (compressed) Encode(in []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return each(in, func(p *commonpb.Payload) (*commonpb.Payload, error) {
		if proto.Size(p) < large {
			return p, nil
		}
		data, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		return &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(zlibEncoding)}, Data: b.Bytes()}, nil
	})
}

func (compressed) Decode(in []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return each(in, func(p *commonpb.Payload) (*commonpb.Payload, error) {
		if string(p.Metadata[converter.MetadataEncoding]) != zlibEncoding {
			return p, nil
		}
		r, err := zlib.NewReader(bytes.NewReader(p.Data))
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(r, maxValue+1))
		if err == nil && len(data) > maxValue {
			err = errors.New("temporal: a value is too large")
		}
		if err != nil {
			return nil, err
		}
		out := new(commonpb.Payload)
		return out, proto.Unmarshal(data, out)
	})
}

// key is one of the keys of a key file. Its ID says nothing about it.
type key struct {
	id   string
	aead cipher.AEAD
}

// keys encrypt with AES-256-GCM.
type keys []key

const sealedEncoding, keyID = "binary/encrypted", "encryption-key-id"

func readKeys(name string) (keys, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out keys
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("key %d is not 32 bytes in base64", len(out)+1) // the text may be a secret
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte("mirrorcycle key id\n"), raw...))
		out = append(out, key{hex.EncodeToString(sum[:6]), aead})
	}
	if len(out) == 0 {
		return nil, errors.New("it has no key")
	}
	return out, nil
}

func (k keys) Encode(in []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return each(in, func(p *commonpb.Payload) (*commonpb.Payload, error) {
		data, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		nonce := make([]byte, k[0].aead.NonceSize())
		if _, err := rand.Read(nonce); err != nil {
			return nil, err
		}
		return &commonpb.Payload{Data: k[0].aead.Seal(nonce, nonce, data, nil),
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(sealedEncoding), keyID: []byte(k[0].id)}}, nil
	})
}

// Decode leaves alone what was written before there was a key.
func (k keys) Decode(in []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return each(in, func(p *commonpb.Payload) (*commonpb.Payload, error) {
		if string(p.Metadata[converter.MetadataEncoding]) != sealedEncoding {
			return p, nil
		}
		for _, key := range k {
			if n := key.aead.NonceSize(); key.id == string(p.Metadata[keyID]) && len(p.Data) > n {
				data, err := key.aead.Open(nil, p.Data[:n], p.Data[n:], nil)
				if err != nil {
					return nil, fmt.Errorf("temporal: decrypt a value: %w", err)
				}
				out := new(commonpb.Payload)
				return out, proto.Unmarshal(data, out)
			}
		}
		return nil, fmt.Errorf("temporal: decrypt a value: %s has no key %s", os.Getenv(KeyEnv), p.Metadata[keyID])
	})
}

func each(in []*commonpb.Payload, f func(*commonpb.Payload) (*commonpb.Payload, error)) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(in))
	for i, p := range in {
		var err error
		if out[i], err = f(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}
