// Package join lets machines into a cluster. Both ends of the protocol are
// here; it is spoken over the one port, below /v1-kelp/:
//
//	joiner                                        server
//	GET /cacerts, compare with the token's hash   the serving authority
//	GET /v1-kelp/cluster, the token as bearer     the cluster's settings, authorities and servers
//	POST /v1-kelp/node, name, addresses, requests certificates for the joiner's own keys
//
// Nothing secret is sent before the authority has been compared. Private keys
// stay where they were made. A certificate says what the server decides: of
// the joiner's wishes it takes the name and addresses, after checking that no
// other machine has them. A name belongs to the machine that first joined with
// it, which proves itself by a secret of its own; the binding goes when the
// Node object is deleted. Afterwards a machine shows its certificate in place
// of the token.
package join
