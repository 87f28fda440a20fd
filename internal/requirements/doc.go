// Package requirements reads what Python packages ask for: requirement and constraint files, version specifiers and environment markers.
//
// Lines follow PEP 508, versions and specifiers PEP 440, markers the
// environment of a platform as far as it is known. A requirement names a
// project and the versions that satisfy it; a constraint pins one with "==" or
// "===". What cannot be read is a note with its line, not the end of a file.
package requirements
