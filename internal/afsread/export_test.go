package afsread

// Lookup is lookup, for the fuzzer: directories come from the network.
var Lookup = lookup

// Stall is stall, which no test should wait for.
var Stall = &stall
