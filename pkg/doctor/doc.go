// Package doctor answers how kelp is, from the supervisor's snapshot, also
// while the API is down: Server serves it on a unix socket that only root can
// open, Ask is its client, and Table renders it for people.
package doctor
