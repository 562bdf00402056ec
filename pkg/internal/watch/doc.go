// Package watch tells when files may have changed.
package watch
