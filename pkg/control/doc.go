// Package control is the control plane, one folder per component: the API
// server, the controller manager and the scheduler. There is no code here,
// only the test that runs all of them together over both datastores.
package control
