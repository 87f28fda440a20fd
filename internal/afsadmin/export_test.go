package afsadmin

// For tests of what fs prints.
var (
	ParseACL   = parseACL
	ParseMount = parseMount
)
