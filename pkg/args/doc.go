// Package args holds the command-line arguments of upstream's components as
// data: what kelp computes, what the user adds, who said what, and which of
// the two wins.
//
// Its main type is Set. A component's args.go fills a Set as a pure function
// of the configuration, with one policy per key:
//
//	default  kelp's value, which the user's replaces
//	append   kelp's values first, then the user's (plugins, feature gates)
//	owned    kelp's value; the user's is refused with advice
//	removed  upstream has dropped it; refused with its release and successor
//
// Rendering is sorted, so two starts give the same arguments.
package args
