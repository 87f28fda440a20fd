package build

// Classify is for tests.
var Classify = classify
