// Package document reads a configuration document of upstream's that a user has
// written as a YAML file, so that what is wrong in it is told with its file and
// line: a field that there is none of, one that is given twice, a value of the
// wrong kind.
//
// Its main type is Document. Upstream's own decoders know no lines, and some of
// them overlook unknown fields.
package document
