package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
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
	client := &http.Client{Timeout: askTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://kelp/status", nil)
	if err != nil {
		return st, err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, io.EOF) && os.Geteuid() != 0:
		return st, ErrNotRoot
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return st, ErrNotRunning
	case err != nil:
		return st, fmt.Errorf("ask kelp for its status: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return st, fmt.Errorf("ask kelp for its status: %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		return st, fmt.Errorf("read kelp's status: %w", err)
	}
	return st, nil
}
