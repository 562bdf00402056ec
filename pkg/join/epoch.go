package join

import (
	"context"
	"net/http"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/epoch"
)

// epochPath tells nodes which restore or reset a server's data is of. It answers
// when the datastore does not.
const epochPath = "/v1-kelp/epoch"

func (s *Server) epoch(w http.ResponseWriter, r *http.Request) {
	if s.Certified(r) == "" {
		write(w, http.StatusUnauthorized, map[string]string{"error": "this is for the cluster's nodes"})
		return
	}
	e, err := epoch.Current(s.cfg.Paths())
	if err != nil {
		log.G(r.Context()).WithError(err).Error("a machine could not be answered")
		write(w, http.StatusInternalServerError, map[string]string{"error": "the server has a problem: see its log"})
		return
	}
	write(w, http.StatusOK, e)
}

// Epoch asks which restore or reset the server's data is of.
func (c *Client) Epoch(ctx context.Context) (epoch.Epoch, error) {
	var answer epoch.Epoch
	return answer, c.do(ctx, http.MethodGet, epochPath, nil, &answer)
}

// EpochOf asks one server, host:port, as the node that this machine is.
func EpochOf(ctx context.Context, paths config.Paths, server string) (e epoch.Epoch, err error) {
	m := &Member{paths: paths}
	err = m.ask(ctx, server, true, func(ctx context.Context, c *Client) (err error) {
		e, err = c.Epoch(ctx)
		return err
	})
	return e, err
}
