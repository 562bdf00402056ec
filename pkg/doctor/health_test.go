package doctor

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/supervisor"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	snap := supervisor.Snapshot{Components: []supervisor.Status{
		{Name: "api", State: supervisor.Ready}, {Name: "lb", State: supervisor.Skipping},
		{Name: "deploy", State: supervisor.Waiting, WaitingFor: []string{"images"}},
		{Name: "space", State: supervisor.Degraded, LastError: "disk full\nand more"},
		{Name: "dns", State: supervisor.Failed},
	}}
	h := Health("/v1-kelp", func() supervisor.Snapshot { return snap })
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/v1-kelp/readyz/api":           {200, "ok"},
		"/v1-kelp/readyz/lb?verbose":    {200, "[+]lb skipped\nreadyz check passed\n"},
		"/v1-kelp/readyz/deploy":        {503, "[-]deploy waiting: for images\nreadyz check failed\n"},
		"/v1-kelp/healthz/deploy":       {200, "ok"},
		"/v1-kelp/healthz/space":        {503, "[-]space degraded: disk full\nhealthz check failed\n"},
		"/v1-kelp/livez/space":          {200, "ok"},
		"/v1-kelp/livez/dns":            {503, "[-]dns failed\nlivez check failed\n"},
		"/v1-kelp/livez?exclude=dns":    {200, "ok"},
		"/v1-kelp/livez":                {503, "livez check failed"},
		"/v1-kelp/readyz/nobody":        {404, "nobody"},
		"/v1-kelp/status":               {404, "404"},
		"/v1-kelp/readyz/":              {404, "there is no component"},
		"/v1-kelp/readyz?exclude=space": {503, "[+]api ready"},
	} {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if got := answer.Body.String(); answer.Code != want.code || !strings.Contains(got, want.body) || want.code == 200 && got != want.body {
			t.Errorf("%s: %d %q, want %d %q", path, answer.Code, got, want.code, want.body)
		}
	}
}
