// Package rules holds what is true of the whole tree, as tests that read the
// sources and say, when one fails, why the rule exists.
package rules
