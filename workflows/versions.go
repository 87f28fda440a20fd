package workflows

// Every workflow.GetVersion of this package is a named predicate in this file,
// with the histories in testdata that need it. There is none yet: the first
// released histories fix the first version of each workflow.
