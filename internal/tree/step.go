package tree

// Step is how much one plan brings at most before it becomes a generation, so
// that a first sync of terabytes serves what it has. The zero value is no bound.
// One unit (a project, a suite, a repository) is planned whatever its size.
type Step struct {
	Bytes   int64
	Objects int64
}

// Full reports whether a plan that has these objects takes no other unit.
func (s Step) Full(objects, bytes int64) bool {
	return s.Bytes > 0 && bytes >= s.Bytes || s.Objects > 0 && objects >= s.Objects
}
