// Package policy enforces NetworkPolicies on a node's pods with nftables.
//
// Everything is in one table, kelp_policy: a chain per policy with a rule for
// each thing that it allows, a chain per set of policies that select the same
// pods, and two maps from pods' addresses to those. The table is computed from
// what the API holds and replaced in one transaction, so that packets meet the
// old or the new rules and never half of them. It stays when kelp stops.
//
// compile.go is the translation, without a kernel or an API. gate.go holds a
// new pod's containers back until its rules are in place.
package policy
