package upgrade

import (
	"context"
	"net/http"

	"github.com/kelp-project/kelp/pkg/doctor"
)

// RestartPath is where a kelp that is no service of systemd's is told to start
// anew, on the status socket.
const RestartPath = "POST /upgrade/restart"

// RestartHandler answers there. Restart returns at once.
func RestartHandler(restart func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		restart()
	})
}

// RestartOver asks for it over the socket.
func RestartOver(socket string) func(context.Context) error {
	return func(ctx context.Context) error {
		return doctor.Call(ctx, socket, http.MethodPost, "/upgrade/restart", askWithin, nil, nil)
	}
}
