package doctor

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// What keeps Ask from asking.
var (
	// ErrNotRunning is returned when nobody answers on the status socket.
	ErrNotRunning = errors.New("kelp is not running on this machine")
	// ErrNotRoot is returned to users who may not ask.
	ErrNotRoot = errors.New("only root may ask kelp for its status: use sudo")
)

// askTimeout bounds a question: the answer is in memory.
const askTimeout = 5 * time.Second

// Ask asks the kelp that runs on this machine how it is.
func Ask(ctx context.Context, socket string) (Status, error) {
	var st Status
	err := Call(ctx, socket, http.MethodGet, "/status", askTimeout, nil, &st)
	return st, err
}
