// Package token makes, reads and compares the secrets with which machines
// join a cluster. Its main type is Token; in text:
//
//	kelp1.<hash>.<role>.<id>.<secret>
//
// The hash is the SHA-256 of the cluster's serving authority, so that whoever
// joins knows whom it talks to before it sends the secret. A secret that a
// person has chosen may stand alone: then the joiner trusts whom it reaches.
//
// On a server's first start the server's token is written to a file, 0600: the
// configured one, or a random one. From then on the file is right, and a
// configuration that says something else is refused.
package token
