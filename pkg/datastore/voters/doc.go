// Package voters keeps the number of etcd's voters odd. Two voters are less
// available than one, so a second server is a learner until there is a third,
// and then both are promoted; later ones stand by as learners and take the place
// of a voter that has been away for longer than a grace time.
//
// Observe reads what the members are, Decide says what to do about it, and Run
// does it, one step at a time. It runs on one server only.
package voters
