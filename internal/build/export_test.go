package build

// For tests.
var (
	Classify     = classify
	NewestMember = newestMember
)
