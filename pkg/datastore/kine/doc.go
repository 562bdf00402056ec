// Package kine runs the SQLite datastore: kine, which speaks etcd's protocol
// over a unix socket and keeps the objects in one SQLite file.
//
// Its main type is Store. It guarantees that an acknowledged write is on the
// disk (WAL with synchronous=FULL), that the socket can be reached by root
// alone, and that a database that lost its content is refused, not silently
// replaced by an empty cluster.
//
// What upstream makes difficult: kine's own default is synchronous=NORMAL,
// which loses acknowledged writes when the power fails; a zero PollInterval
// makes each watch fail while writes work; at start it runs VACUUM, which
// takes longer the larger the database is; and its graceful stop waits two
// seconds for watches that never end by themselves.
package kine
