package tree

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"

	"mirrorcycle/internal/fault"
	"mirrorcycle/internal/manifest"
)

// Plan is a stored plan.
type Plan struct {
	t      *Tree
	Digest string
	Info   PlanInfo
}

// OpenPlan opens the plan that Finish named.
func (t *Tree) OpenPlan(digest string) (*Plan, error) {
	if _, err := manifest.ParseDigest(digest); err != nil {
		return nil, fmt.Errorf("tree: open plan: %w", err)
	}
	p := &Plan{t: t, Digest: digest}
	data, err := os.ReadFile(p.path(planFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fault.Error{Kind: fault.Gone, Op: "tree: open plan", Subject: digest, Advice: "plan again"}
	}
	if err != nil {
		return nil, fmt.Errorf("tree: open plan %s: %w", digest, err)
	}
	if err := json.Unmarshal(data, &p.Info); err != nil {
		return nil, &fault.Error{Kind: fault.Corrupt, Op: "tree: open plan", Subject: digest, Err: err, Advice: "nothing to do: the next run plans anew"}
	}
	return p, nil
}

func (p *Plan) path(name string) string { return p.t.statePath("plan", p.Digest, name) }

// Open opens a file that the engine created in the plan.
func (p *Plan) Open(name string) (*os.File, error) { return os.Open(p.path(name)) }

// Items yields the objects of a shard, counted from 0.
func (p *Plan) Items(shard int) iter.Seq2[Item, error] {
	return readJSON[Item](p.path(shardName(shard)))
}

// Drops yields the paths that the plan drops, in the order they were added.
func (p *Plan) Drops() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		f, err := p.Open(dropsFile)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield("", err)
			return
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if !yield(lines.Text(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield("", err)
		}
	}
}

func readJSON[T any](name string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield(*new(T), err)
			return
		}
		defer f.Close()
		dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
		for {
			var v T
			err := dec.Decode(&v)
			if errors.Is(err, io.EOF) || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func doneName(shard int) string { return "done." + strconv.Itoa(shard) }

// Done makes the results of a shard durable, after its objects.
func (p *Plan) Done(shard int, results []Result) error {
	if err := p.t.Sync(); err != nil {
		return err
	}
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	for _, r := range results {
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return p.t.writeState(b.Bytes(), "plan", p.Digest, doneName(shard))
}

// IsDone reports whether the shard's results are there.
func (p *Plan) IsDone(shard int) bool {
	_, err := os.Stat(p.path(doneName(shard)))
	return err == nil
}

// Results yields the results of a shard that is done.
func (p *Plan) Results(shard int) iter.Seq2[Result, error] {
	return readJSON[Result](p.path(doneName(shard)))
}

// Redo forgets the results of the shards in which something failed, or of which
// an object is there no more, so that the next fetch tries again.
func (p *Plan) Redo() error {
	for shard := range p.Info.Shards {
		if !p.IsDone(shard) {
			continue
		}
		stands, err := p.stands(shard)
		if err != nil {
			return err
		}
		if !stands {
			if err := p.t.dropState("plan", p.Digest, doneName(shard)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Plan) stands(shard int) (bool, error) {
	for r, err := range p.Results(shard) {
		if err != nil {
			return false, err
		}
		if r.Error != "" {
			return false, nil
		}
		size, there, err := p.t.Stat(r.Path)
		if fault.KindOf(err) == fault.Hostile {
			return false, nil // the next fetch says what lies there
		}
		if err != nil || !there || size != r.Size {
			return false, err
		}
	}
	return true, nil
}

// Lacking returns the bytes of a shard's objects that are not in the tree yet.
func (p *Plan) Lacking(shard int) (int64, error) {
	var lacking int64
	for it, err := range p.Items(shard) {
		if err != nil {
			return 0, err
		}
		size, there, err := p.t.Stat(it.Path)
		if err != nil && fault.KindOf(err) == "" {
			return 0, err
		}
		if !there || size != it.Size {
			lacking += max(it.Size, 0)
		}
	}
	return lacking, nil
}
