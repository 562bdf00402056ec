// Package args holds the command-line arguments of upstream's components as
// data: what kelp computes, what the user adds, who said what, and which of
// the two wins.
//
// Its main type is Set. A component's args.go fills a Set as a pure function
// of the configuration, with one policy per key:
//
//	default  kelp's value, which the user's replaces
//	append   kelp's values first, then the user's (plugins, feature gates)
//	owned    kelp's value; another one of the user's is refused with advice
//	removed  upstream has dropped it; refused with its release and successor
//
// Rendering is sorted, so two starts give the same arguments. What is refused is a
// Problem, so that whoever knows where the user has written it can say so.
package args
