package tree

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"mirrorcycle/internal/durable"
	"mirrorcycle/internal/fault"
)

// Identity tells one tree from every other, so that an unmounted disk is never
// taken for an empty mirror.
type Identity struct {
	Tree   string    `json:"tree"`   // unique, such as "ubuntu-3f1c9a52b0d4"
	Mirror string    `json:"mirror"` // the mirror's name in the spec
	Made   time.Time `json:"made"`
	Part   string    `json:"part,omitempty"` // directory of the tree, in the identity of a part
	Kind   string    `json:"kind,omitempty"` // of the mirror, as Setup was told
	Layout
}

// Layout says by which rules a directory is laid out. Identities hold it, so
// that a program that is too old does not touch what it does not understand.
type Layout struct {
	Format int    `json:"format,omitempty"` // 0 is 1
	Since  string `json:"since,omitempty"`  // the oldest version of the program that reads this format
}

// Format is the layout of trees, states and regions that this version reads and writes.
const Format = 1

// Check refuses a layout that is newer than this program, with fault.Config.
func (l Layout) Check(dir string) error {
	if l.Format <= Format {
		return nil
	}
	since := l.Since
	if since == "" {
		since = "a newer version"
	}
	return &fault.Error{Kind: fault.Config, Op: "tree: identify", Subject: dir,
		Err: fmt.Errorf("it has format %d, this version reads format %d", l.Format, Format), Advice: "use " + since + " of the program: it reads format " + strconv.Itoa(l.Format)}
}

const idFile = "id"

// Setup makes the tree and its state and gives both one identity. It does
// nothing where that was done before, and refuses directories that belong to
// another mirror, or of which only one has an identity. Parts must be there, and
// empty when they get theirs.
func Setup(cfg Config, mirror string) (Identity, error) {
	id, err := setupWhole(cfg, mirror)
	if err != nil {
		return Identity{}, err
	}
	for _, part := range cfg.Parts {
		if err := setupPart(cfg, part, id); err != nil {
			return Identity{}, err
		}
	}
	return id, nil
}

func setupPart(cfg Config, part string, id Identity) error {
	dir := filepath.Join(cfg.Dir, filepath.FromSlash(part))
	err := checkPart(cfg, part, id)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wrong(dir, "a part of the tree is not there", "mount it: on AFS make its volume and mount point (starter setup --volumes does)")
	case err != nil:
		return fmt.Errorf("tree: set up %s: %w", dir, err)
	case committed(cfg.State):
		return wrong(dir, "the state has generations and a part of the tree has no identity",
			"mount the part; a mirror that has generations gets no new parts: make another mirror")
	case slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != private }):
		return wrong(dir, "a part of the tree has files and no identity", "give the part an empty file system")
	}
	id.Part = part
	return writeIdentity(filepath.Join(dir, private), id)
}

// checkPart wants the identity of a part to be that of its tree; the error is
// fs.ErrNotExist's where the part has none.
func checkPart(cfg Config, part string, id Identity) error {
	dir := filepath.Join(cfg.Dir, filepath.FromSlash(part))
	got, err := readIdentity(filepath.Join(dir, private, idFile))
	switch {
	case err != nil:
		return fmt.Errorf("tree: identify part: %w", err)
	case got.Tree != id.Tree || got.Part != part:
		return wrong(dir, fmt.Sprintf("it is part %q of %s, not part %q of %s", got.Part, got.Tree, part, id.Tree), "mount the parts where they belong")
	}
	return nil
}

// checkKind refuses to use the tree of one kind for a mirror of another: what is
// there would be dropped, under the feet of its clients.
func (id Identity) checkKind(cfg Config) error {
	if id.Kind == "" || cfg.Kind == "" || id.Kind == cfg.Kind {
		return nil
	}
	return &fault.Error{Kind: fault.Config, Op: "tree: identify", Subject: cfg.Dir,
		Err:    fmt.Errorf("mirror %s was set up with kind %q, the spec says %q", id.Mirror, id.Kind, cfg.Kind),
		Advice: "give the new mirror another name: this one stays as it is, and is served"}
}

func setupWhole(cfg Config, mirror string) (Identity, error) {
	inTree, errTree := readIdentity(filepath.Join(cfg.Dir, private, idFile))
	inState, errState := readIdentity(filepath.Join(cfg.State, idFile))
	for _, err := range []error{errTree, errState} {
		if errors.Is(err, fault.Config) {
			return Identity{}, err
		}
	}
	if errTree == nil && errState == nil {
		if err := inTree.checkKind(cfg); err != nil {
			return Identity{}, err
		}
	}
	switch {
	case errTree == nil && errState == nil && inTree == inState && inTree.Mirror == mirror:
		return inTree, nil
	case errors.Is(errTree, fs.ErrNotExist) && errors.Is(errState, fs.ErrNotExist):
	case errTree == nil && errors.Is(errState, fs.ErrNotExist):
		return Identity{}, wrong(cfg.State, "the tree has an identity and its state has none",
			"mount the state; if it is lost, restore it from a backup")
	case errState == nil && errors.Is(errTree, fs.ErrNotExist) && inState.Mirror == mirror:
		// Cut off between the two files below, or the tree is not mounted: only
		// a state that never committed anything may belong to an empty tree.
		if committed(cfg.State) {
			return Identity{}, wrong(cfg.Dir, "the state has generations and the tree has no identity", "mount the tree")
		}
		return inState, writeIdentity(filepath.Join(cfg.Dir, private), inState)
	default:
		return Identity{}, wrong(cfg.Dir, fmt.Sprintf("tree %+v (%v) and state %+v (%v) do not belong to mirror %s together",
			inTree, errTree, inState, errState, mirror), "check which disks are mounted where")
	}
	var random [6]byte
	rand.Read(random[:])
	id := Identity{Tree: mirror + "-" + hex.EncodeToString(random[:]), Mirror: mirror, Kind: cfg.Kind, Made: time.Now().UTC().Truncate(time.Second), Layout: Layout{Format: Format}}
	if err := writeIdentity(cfg.State, id); err != nil {
		return Identity{}, err
	}
	return id, writeIdentity(filepath.Join(cfg.Dir, private), id)
}

func committed(state string) bool {
	entries, _ := os.ReadDir(filepath.Join(state, "gen"))
	return len(entries) > 0
}

func writeIdentity(dir string, id Identity) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("tree: set up %s: %w", dir, err)
	}
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return durable.ReplaceBy(filepath.Join(dir, idFile+".new"), filepath.Join(dir, idFile), append(data, '\n'))
}

func readIdentity(name string) (Identity, error) {
	var id Identity
	data, err := os.ReadFile(name)
	if err != nil {
		return id, err
	}
	if err := json.Unmarshal(data, &id); err != nil || id.Tree == "" {
		return id, fmt.Errorf("tree: read %s: %w", name, fault.Corrupt)
	}
	return id, id.Check(filepath.Dir(name))
}

// identify returns the identity that tree and state agree on.
func identify(cfg Config) (Identity, error) {
	inTree, err := readIdentity(filepath.Join(cfg.Dir, private, idFile))
	if errors.Is(err, fault.Config) {
		return inTree, err
	}
	if err != nil {
		return inTree, wrong(cfg.Dir, err.Error(), "mount the right storage, or run starter setup for a new mirror")
	}
	inState, err := readIdentity(filepath.Join(cfg.State, idFile))
	if errors.Is(err, fault.Config) {
		return inTree, err
	}
	if err != nil {
		return inTree, wrong(cfg.State, err.Error(), "mount the right state, or run starter setup for a new mirror")
	}
	if inTree.Tree != inState.Tree {
		return inTree, wrong(cfg.Dir, fmt.Sprintf("the tree is %s, its state is of %s", inTree.Tree, inState.Tree),
			"mount the tree and the state that belong together")
	}
	if err := inTree.checkKind(cfg); err != nil {
		return inTree, err
	}
	for _, part := range cfg.Parts {
		if err := checkPart(cfg, part, inTree); errors.Is(err, fault.WrongStorage) {
			return inTree, err
		} else if err != nil {
			return inTree, wrong(cfg.Dir, err.Error(), "mount this part of the tree, or run starter setup for a new one")
		}
	}
	return inTree, nil
}

func wrong(subject, why, advice string) error {
	return &fault.Error{Kind: fault.WrongStorage, Op: "tree: identify", Subject: subject, Err: errors.New(why), Advice: advice}
}
