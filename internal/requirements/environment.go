package requirements

import (
	"strings"

	"mirrorcycle/internal/simpleindex"
)

// Environment is what markers are judged by: the variables of PEP 508 under
// their names, such as "sys_platform". A variable that is missing is unknown,
// and a marker that depends on it may hold.
type Environment map[string]string

// Linux returns the environment of CPython on Linux: python is its version, such
// as "3.11", machine that of the platform, such as "x86_64". Either may be "";
// the patch release and the kernel are unknown always.
func Linux(python, machine string) Environment {
	e := Environment{"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux",
		"platform_python_implementation": "CPython", "implementation_name": "cpython"}
	if python != "" {
		e["python_version"] = python
	}
	if machine != "" {
		e["platform_machine"] = machine
	}
	return e
}

// variables are the names that a marker may use, by the spelling found in files.
var variables = map[string]string{
	"python_version": "python_version", "python_full_version": "python_full_version",
	"os_name": "os_name", "os.name": "os_name", "sys_platform": "sys_platform", "sys.platform": "sys_platform",
	"platform_release": "platform_release", "platform_system": "platform_system",
	"platform_version": "platform_version", "platform.version": "platform_version",
	"platform_machine": "platform_machine", "platform.machine": "platform_machine",
	"platform_python_implementation": "platform_python_implementation",
	"platform.python_implementation": "platform_python_implementation",
	"python_implementation":          "platform_python_implementation",
	"implementation_name":            "implementation_name", "implementation_version": "implementation_version",
	"extra": "extra",
}

// truth is what is known of a marker.
type truth int

const (
	no truth = iota
	maybe
	yes
)

func sure(b bool) truth {
	if b {
		return yes
	}
	return no
}

// compare judges "variable op value", or "value op variable" if reversed.
func (e Environment) compare(variable, op, value string, reversed bool) truth {
	have, ok := e[variable]
	if !ok && (variable == "python_full_version" || variable == "implementation_version") {
		return e.patch(op, value, reversed)
	}
	if !ok {
		return maybe
	}
	if variable == "extra" {
		have, value = simpleindex.Normalize(have), simpleindex.Normalize(value)
	}
	if reversed {
		have, value = value, have
	}
	return compare(have, op, value, versioned[variable])
}

// patch judges a full version of which major and minor are known: certain is
// what holds for the first and for the last patch release alike.
func (e Environment) patch(op, value string, reversed bool) truth {
	minor, ok := e["python_version"]
	m, valid := simpleindex.ParseVersion(minor)
	if !ok || !valid || strings.Count(minor, ".") != 1 {
		return maybe
	}
	if v, ok := simpleindex.ParseVersion(value); ok && v.Within(m) && strings.Contains(op, "=") && op != "<=" && op != ">=" {
		return maybe // one patch release of ours is named
	}
	judge := func(full string) truth {
		if reversed {
			return compare(value, op, full, true)
		}
		return compare(full, op, value, true)
	}
	if first := judge(minor + ".0"); first == judge(minor+".99999") {
		return first
	}
	return maybe
}

// versioned are the variables whose values are compared as versions.
var versioned = map[string]bool{"python_version": true, "python_full_version": true, "implementation_version": true, "platform_release": true}

// compare applies an operator: as that of a specifier where the variable holds a
// version and the right side makes one, else to text, which has no order. "in"
// looks for text within text.
func compare(left, op, right string, versions bool) truth {
	if op == "in" || op == "not in" {
		return sure(strings.Contains(right, left) == (op == "in"))
	}
	if versions {
		if s, err := ParseSpecifiers(op + right); err == nil && len(s.clauses) == 1 {
			return sure(s.Contains(left))
		}
	}
	switch op {
	case "==", "<=", ">=":
		return sure(left == right)
	case "!=":
		return sure(left != right)
	case "<", ">":
		return no
	}
	return maybe // "~=" and "===" have no meaning here
}
