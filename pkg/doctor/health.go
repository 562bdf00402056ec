package doctor

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kelp-project/kelp/pkg/supervisor"
)

// healthOf says, for each question, whether a component is as it should be: ready is
// the strictest, and a component that is on its way up lives and is healthy.
var healthOf = map[string]func(supervisor.State) bool{
	"readyz": func(s supervisor.State) bool { return s == supervisor.Ready || s == supervisor.Skipping },
	"healthz": func(s supervisor.State) bool {
		return !slices.Contains([]supervisor.State{supervisor.Degraded, supervisor.Failed, supervisor.Stopping, supervisor.Stopped}, s)
	},
	"livez": func(s supervisor.State) bool {
		return !slices.Contains([]supervisor.State{supervisor.Failed, supervisor.Stopping, supervisor.Stopped}, s)
	},
}

// HealthPaths are what Health answers below a prefix, each for all components and,
// with a slash and a name, for one.
var HealthPaths = []string{"healthz", "livez", "readyz"}

// Health answers PREFIX/readyz, PREFIX/readyz/COMPONENT and so on, as the API
// server does for itself: 200 or 503, a line for each component with ?verbose or
// when one is not well, and ?exclude=COMPONENT leaves one out.
func Health(prefix string, snapshot func() supervisor.Snapshot) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, name, one := strings.Cut(strings.TrimPrefix(r.URL.Path, prefix+"/"), "/")
		ok := healthOf[question]
		if ok == nil {
			http.NotFound(w, r)
			return
		}
		query := r.URL.Query()
		var report bytes.Buffer
		bad, seen := 0, false
		for _, c := range snapshot().Components {
			if one && c.Name != name || !one && slices.Contains(query["exclude"], c.Name) {
				continue
			}
			seen = true
			if ok(c.State) {
				fmt.Fprintf(&report, "[+]%s %s\n", c.Name, c.State)
				continue
			}
			bad++
			fmt.Fprintf(&report, "[-]%s %s%s\n", c.Name, c.State, whyNot(c))
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache, private")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, verbose := query["verbose"]
		switch {
		case !seen:
			http.Error(w, fmt.Sprintf("there is no component %q", name), http.StatusNotFound)
		case bad > 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, "%s%s check failed\n", report.Bytes(), question) // who has asked is gone
		case verbose:
			_, _ = fmt.Fprintf(w, "%s%s check passed\n", report.Bytes(), question)
		default:
			_, _ = w.Write([]byte("ok"))
		}
	})
}

// whyNot is why a component is not well, on the line.
func whyNot(c supervisor.Status) string {
	first, _, _ := strings.Cut(c.LastError, "\n")
	switch {
	case len(c.WaitingFor) > 0:
		return ": for " + strings.Join(c.WaitingFor, ", ")
	case first != "":
		return ": " + first
	}
	return ""
}
