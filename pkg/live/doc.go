// Package live has a running kelp follow its configuration file.
//
//	file, drop-ins ─► load, validate ─► refused: one line of status, nothing changes
//	                                 └► differences ─► live: the appliers, in order
//	                                                 └► the rest: named until a restart
//
// Its main type is Follower. It is the only one that writes the file while kelp
// runs (kelp config apply asks it to), so that what was written and what was
// taken are one thing. Flags and the environment win over the file, as at the
// start, for it is read by the same function.
//
// A trial is noted on disk before the file is replaced: whether kelp, the
// machine or whoever began it is gone, the file is what it was when the time is
// over and nobody has confirmed. Next to the file config.yaml are then
//
//	config.yaml.previous   what the last apply has replaced
//	config.yaml.trial      until when the present one is on trial
//	config.yaml.reverted   what was on trial and not confirmed
//
// It knows no component: roles give it a list of appliers.
package live
