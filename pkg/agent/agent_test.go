package agent

import (
	"net/netip"
	"testing"

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
	order, err := supervisor.Order(Components(cfg, &node.Node{NFTables: true}, nil, nil, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "order.golden", []byte(order))
}
