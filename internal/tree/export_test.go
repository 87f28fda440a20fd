package tree

// FullPassage is fullPassage: so many files are too slow to make in a test.
var FullPassage = &fullPassage
