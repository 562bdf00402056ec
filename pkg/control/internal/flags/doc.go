// Package flags puts arguments into upstream's option structs through the
// flag sets that they bring, which have the parsers, without upstream's
// command objects, which install signal handlers and exit the process.
package flags
