package server

import (
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/authorities"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// succeeded keeps this server's authorities those of the cluster.
func succeeded(cfg config.Config, engine *pki.Engine) supervisor.Component {
	follower := &authorities.Follower{
		Config: cfg, Address: join.AddressOf(cfg), Adopt: engine.Adopt,
		Client: func() (kubernetes.Interface, error) { return kelpClient(cfg) },
	}
	return supervisor.Component{Name: authoritiesName, After: []string{api}, Run: follower.Run}
}
