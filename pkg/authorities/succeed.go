package authorities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Succeed gives the cluster's authorities successors, and returns their
// generation: the given pairs by the authority's name, and new ones for the
// others. All servers adopt them by and by, this one too. Nothing has changed
// when it fails.
func Succeed(ctx context.Context, cfg config.Config, client kubernetes.Interface, given map[string]pki.Pair, now time.Time) (generation int, err error) {
	have, err := pki.ReadAuthorities(cfg.Paths())
	if err != nil {
		return 0, err
	}
	there, err := load(ctx, client)
	if err != nil {
		return 0, err
	}
	if there.generation != have.Generation {
		return 0, fmt.Errorf("this server has generation %d of the authorities, the cluster %d: try again when kelp certificate rotate-ca --status shows them equal", have.Generation, there.generation)
	}
	next := pki.Authorities{Generation: have.Generation + 1, Pairs: map[string]pki.Pair{}}
	var problems []error
	for _, authority := range pki.AuthorityNames {
		var own *pki.Pair
		if p, ok := given[authority]; ok {
			own = &p
		}
		if next.Pairs[authority], err = pki.Succeed(authority, have.Pairs[authority], own, now); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return 0, errors.Join(problems...)
	}
	if there, err = there.with(cfg.Paths(), next); err != nil {
		return 0, err
	}
	return next.Generation, there.write(ctx, client)
}

// Status is how far the servers are.
type Status struct {
	Generation int            `json:"generation"` // the cluster's
	Adopted    map[string]int `json:"adopted"`    // each server's, by its address
}

// StatusOf looks at the cluster. Servers are the addresses of those that run.
func StatusOf(ctx context.Context, client kubernetes.Interface, servers []string) (Status, error) {
	there, err := load(ctx, client)
	if err != nil {
		return Status{}, err
	}
	s := Status{Generation: there.generation, Adopted: map[string]int{}}
	for _, address := range servers {
		s.Adopted[address] = there.adopted[address]
	}
	return s, nil
}

// Behind are the servers that have not adopted the cluster's authorities yet.
func (s Status) Behind() (servers []string) {
	for address, generation := range s.Adopted {
		if generation < s.Generation {
			servers = append(servers, address)
		}
	}
	return servers
}
