// Package bundle is the form in which helper programs are embedded: a set is
// NAME.tar.zst, one compressed archive (one, because the programs share much
// of their code: half the size of the programs compressed alone), and
// NAME.json, which lists each program with its size and hash. scripts/payload
// writes it, package payload reads it.
package bundle
