// Package storetest is the promises that every datastore keeps, as a test
// suite: kine, etcd, and what is migrated from one to the other run the same
// one. It asks for what the Kubernetes API relies on, in the transactions
// that the API sends, as kine understands no others.
package storetest
