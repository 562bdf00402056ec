// Package datastore runs what keeps the cluster's objects: SQLite behind
// kine, or an embedded etcd. Both speak etcd's protocol, so the rest of kelp
// sees one Endpoint.
//
// Its main type is Datastore. Ready means that a linearizable read has been
// answered, not that a port is open. datastore/storetest holds the promises
// that both backends keep, as a test suite.
package datastore
