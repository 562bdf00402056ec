package pipe

import (
	"io"
	"sync"
)

// Both copies both ways until both have ended, or one has failed. The
// connections are closed then, or have to be by the caller.
func Both(a, b io.ReadWriteCloser) {
	var both sync.WaitGroup
	both.Go(func() { one(a, b) })
	both.Go(func() { one(b, a) })
	both.Wait()
}

// one copies one direction and passes its end on; the other goes on.
func one(to, from io.ReadWriteCloser) {
	_, err := io.Copy(to, from)
	half, can := to.(interface{ CloseWrite() error })
	if err == nil && can {
		_ = half.CloseWrite() // if it fails, both are closed
		return
	}
	_ = to.Close()
	_ = from.Close()
}
