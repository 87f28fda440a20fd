package afsread

// Lookup is lookup, for the fuzzer: directories come from the network.
var Lookup = lookup
