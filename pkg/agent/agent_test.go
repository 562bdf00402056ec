package agent

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
	"github.com/kelp-project/kelp/pkg/node"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// TestStartOrder holds the order in which an agent starts: a change of it is to
// be looked at.
func TestStartOrder(t *testing.T) {
	t.Parallel()
	cfg, err := config.Default().Complete(config.Host{Name: "node-1", IPv4: netip.MustParseAddr("192.0.2.10")})
	if err != nil {
		t.Fatal(err)
	}
	order, err := supervisor.Order(Components(cfg, &node.Node{NFTables: true}, nil, nil, nil, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "order.golden", []byte(order))
}

// A clock that is set has certificates looked at, as they may have ended.
func TestCertificatesAreLookedAtWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	last := time.Now()
	for name, c := range map[string]struct {
		now  time.Time
		want bool
	}{
		"soon after":      {last.Add(time.Minute), false},
		"ten minutes":     {last.Add(10 * time.Minute), true},
		"set ahead":       {last.Round(0).AddDate(1, 0, 0), true},
		"set back a year": {last.Round(0).AddDate(-1, 0, 0), true},
	} {
		if got := renewDue(last, c.now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
