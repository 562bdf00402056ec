// Package version says which kelp this is. The build stamps it in with
// -ldflags -X; what is not stamped is read from what Go itself records about
// modules and the checkout.
package version
