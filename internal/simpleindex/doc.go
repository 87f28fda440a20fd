// Package simpleindex reads and writes the simple index of Python packages.
//
// It is pure: bytes in, values out. It reads JSON, which PEP 833 has mirrors
// consume, and HTML, which is all that many indexes have. It renders both: JSON,
// and the one HTML that serves as text/html and as v1+html. What is wrong with one
// file of a page is a fact about that file: see Refusal.
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
// no PEP names are not. Failures are fault.Malformed (not the format it claims to
// be), fault.Hostile (a name or URL that would leave the tree) and fault.Unproved
// (a file without SHA-256).
package simpleindex
