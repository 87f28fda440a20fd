package workflows

// Every workflow.GetVersion of this package is a named predicate in this file,
// with the histories in testdata that need it. None is needed yet: the recorded
// histories are of workflows that do what those of this version do.
