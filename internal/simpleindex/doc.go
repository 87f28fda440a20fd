// Package simpleindex reads and writes the simple index of Python packages.
//
// It is pure: bytes in, values out. It reads the JSON form only, as PEP 833
// freezes HTML and has mirrors consume JSON, and renders both: JSON, and the one
// HTML that serves as text/html and as v1+html.
//
//   - root: the list of projects at /simple/ (PEP 503, 691).
//   - project page: the files of one project at /simple/<name>/.
//   - normalised name: lower case, runs of "-", "_" and "." as one "-" (PEP 503).
//   - last serial: upstream's number of the last change to a project.
//   - yanked: a file that is installed only if asked for by version (PEP 592).
//   - core metadata: the METADATA of a wheel beside it, as <url>.metadata
//     (PEP 658, 714).
//   - provenance: where attestations of a file are found (PEP 740).
//   - project status: active, archived, quarantined or deprecated (PEP 792).
//
// The versions and sizes of PEP 700 and the names of PEP 629 are kept, keys that
// no PEP names are not. Failures are fault.Malformed (not the format it claims to be) and
// fault.Hostile (a name or URL that would leave the tree).
package simpleindex
