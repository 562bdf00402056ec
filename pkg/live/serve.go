package live

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

// The paths on the status socket.
const (
	StatePath   = "/config"
	DiffPath    = "/config/diff"
	ApplyPath   = "/config/apply"
	ConfirmPath = "/config/confirm"
)

// askFor bounds how long a question waits for its turn.
const askFor = 5 * time.Second

// Request is what is asked.
type Request struct {
	Text *config.Text  `json:"text,omitempty"` // in the place of the file
	Try  time.Duration `json:"try,omitempty"`
}

// Answer is what comes back.
type Answer struct {
	Changes []config.Change `json:"changes"`
	State   State           `json:"state"`
	Problem string          `json:"problem,omitempty"`
}

// Register registers the handlers, which are for root alone.
func (f *Follower) Register(handle func(pattern string, handler http.Handler)) {
	handle("GET "+StatePath, answer(func(context.Context, Request) (Answer, error) { return Answer{}, nil }, f))
	handle("POST "+DiffPath, answer(func(ctx context.Context, r Request) (Answer, error) {
		changes, err := f.Diff(ctx, r.Text)
		return Answer{Changes: changes}, err
	}, f))
	handle("POST "+ApplyPath, answer(func(ctx context.Context, r Request) (Answer, error) {
		if r.Text == nil {
			r.Text = &config.Text{}
		}
		_, err := f.Apply(ctx, *r.Text, r.Try)
		return Answer{}, err
	}, f))
	handle("POST "+ConfirmPath, answer(func(ctx context.Context, _ Request) (Answer, error) { return Answer{}, f.Confirm(ctx) }, f))
}

func answer(do func(context.Context, Request) (Answer, error), f *Follower) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked Request
		if r.Method == http.MethodPost {
			// Twice: text is in base64, and more than a file may hold is refused
			// with its own words.
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 2*config.MaxFileSize)).Decode(&asked); err != nil {
				http.Error(w, "the request cannot be read: "+err.Error(), http.StatusBadRequest)
				return
			}
		}
		ctx, cancel := context.WithTimeout(r.Context(), askFor)
		defer cancel()
		result, err := do(ctx, asked)
		if err != nil {
			result.Problem = err.Error()
		}
		result.State = f.State()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(result) // who has asked is gone
	})
}
