// Package migrate writes all keys of a datastore into a new etcd member's
// directory, with their revisions: no object's resourceVersion goes backwards,
// and a client that was watching lists anew.
//
// Records are written in the form in which etcd keeps them, into a snapshot
// file that etcd's own restore makes a member of. Writing them through a member
// would give every key a new revision; and putting them into a running member's
// file would hide them from members that join later, which get what is in the
// log.
package migrate
