package activities

import (
	"fmt"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"mirrorcycle/internal/fault"
	"mirrorcycle/mirrorspec"
)

// Permit is what the worker's own configuration lets messages ask of it. Whoever
// may start workflows chooses among it; anything else is fault.Denied.
type Permit struct {
	Dirs     []string // where storages, regions and their sites may be
	Roots    []string // where roots of platforms may be
	Files    []string // files, and directories of files, that may be read
	Sandbox  []string // how wheels may be built
	Internal []string // what upstreams may lead to inside: fetch.Options.Internal
}

// PermitOf is what a spec names, and nothing else.
func PermitOf(spec *mirrorspec.Spec) Permit {
	var p Permit
	walk(reflect.ValueOf(*spec), func(a ask) error {
		list := map[string]*[]string{askDir: &p.Dirs, askRoot: &p.Roots, askFile: &p.Files, askSandbox: &p.Sandbox}[a.flag]
		*list = append(*list, a.value)
		return nil
	})
	return p
}

// Anything allows all that a message may ask of the host, but no internal hosts.
func Anything() Permit {
	return Permit{Dirs: []string{"/"}, Roots: []string{"/"}, Files: []string{"/"}, Sandbox: []string{mirrorspec.Bubblewrap, mirrorspec.NoSandbox}}
}

// And is what either of two allows.
func (p Permit) And(o Permit) Permit {
	return Permit{Dirs: slices.Concat(p.Dirs, o.Dirs), Roots: slices.Concat(p.Roots, o.Roots), Files: slices.Concat(p.Files, o.Files),
		Sandbox: slices.Concat(p.Sandbox, o.Sandbox), Internal: slices.Concat(p.Internal, o.Internal)}
}

// ask is one thing that a message asks for.
type ask struct {
	flag  string // the worker's flag that allows it
	value string
}

// The flags that allow what messages ask for.
const (
	askDir     = "--dirs"
	askRoot    = "--roots"
	askFile    = "--files"
	askSandbox = "--sandbox"
)

// Check refuses a message that asks for more than is allowed. It finds the parts
// of a spec wherever they are in the message, so that no activity can forget to ask.
func (p Permit) Check(message any) error {
	return translate(walk(reflect.ValueOf(message), func(a ask) error {
		allowed := map[string][]string{askDir: p.Dirs, askRoot: p.Roots, askFile: p.Files, askSandbox: p.Sandbox}[a.flag]
		if a.flag == askSandbox && slices.Contains(allowed, a.value) || a.flag != askSandbox && within(a.value, allowed) {
			return nil
		}
		return &fault.Error{Kind: fault.Denied, Op: "activities: check what the spec asks", Subject: a.value,
			Err: fmt.Errorf("this worker's %s does not allow it", a.flag), Advice: "start the worker with " + a.flag + " that has it, name it in the worker's own spec (--spec), or change the spec"}
	}))
}

// walk calls visit for everything that a message asks of the host, to the first error.
func walk(v reflect.Value, visit func(ask) error) error {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, a := range asks(v.Interface()) {
			if err := visit(a); err != nil {
				return err
			}
		}
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if err := walk(v.Field(i), visit); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k != reflect.Struct && k != reflect.Pointer && k != reflect.Slice && k != reflect.Interface {
			return nil
		}
		for i := range v.Len() {
			if err := walk(v.Index(i), visit); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := walk(it.Value(), visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// asks lists what one part of a spec asks for itself.
func asks(part any) (out []ask) {
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				out = append(out, ask{flag, v})
			}
		}
	}
	switch p := part.(type) {
	case mirrorspec.Storage:
		add(askDir, p.Root, p.State)
	case mirrorspec.Region:
		add(askDir, p.Dir, p.State, p.Site)
	case mirrorspec.Platform:
		add(askRoot, p.Root)
	case mirrorspec.Notify:
		add(askFile, p.URLFile)
	case mirrorspec.AFS:
		add(askFile, p.WriteKeytab, p.ReleaseKeytab)
	case mirrorspec.Mirror:
		add(askFile, p.Keyring, p.Netrc, p.ClientCert, p.ClientKey, p.CAFile, p.File)
		for _, place := range append([]string{p.Constraints}, p.Requirements...) {
			if path.IsAbs(place) { // else it is a URL, a mirror, or inside a repository
				add(askFile, place)
			}
		}
		if p.Kind == mirrorspec.Wheels {
			add(askSandbox, p.Sandbox)
		}
	}
	return out
}

// within reports whether a path is one of allowed or below, as it is written and
// where its links lead, as far as it is there.
func within(name string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(dir string) bool { return below(name, dir) && below(real(name), real(dir)) })
}

func below(name, dir string) bool {
	name, dir = path.Clean(name), path.Clean(dir)
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// real follows the links of as much of a path as is there.
func real(name string) string {
	rest := ""
	for at := path.Clean(name); ; at = path.Dir(at) {
		if to, err := filepath.EvalSymlinks(at); err == nil {
			return path.Join(to, rest)
		}
		if at == "/" || at == "." {
			return path.Clean(name)
		}
		rest = path.Join(path.Base(at), rest)
	}
}
