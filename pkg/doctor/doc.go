// Package doctor answers how kelp is, and what is the matter with it.
//
// Server serves the supervisor's snapshot on a unix socket that only root can
// open, also while the API is down; Ask is its client, and Table renders it for
// people. Survey adds the whole cluster (kelp status).
//
// For kelp doctor, Look collects Evidence, of this machine and of the cluster;
// Diagnose, a function of that alone, says what is the matter, why, and what to
// do next; Report.Print renders it. What cannot be seen is evidence, too: with
// kelp or the API down there is less of it, and what is left is looked at. One
// file has the answers to each question that people have.
//
// Bundle writes the evidence and what the machine says of itself into an archive
// for somebody else to read. Every file of it goes through a redactor, which
// takes out secrets that it knows (the values of all Secrets, tokens, passwords
// in this machine's files) in each form in which they may stand, and what looks
// like one. What is never needed (environments, ConfigMaps, keys) is not put in.
package doctor
