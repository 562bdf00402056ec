package upgrade

import (
	"errors"
	"fmt"

	semver "k8s.io/apimachinery/pkg/util/version"
)

// kubeletSkew is by how many minor releases a kubelet may be older than the API
// server that it asks.
const kubeletSkew = 3

// Member is a node of the cluster, as far as versions go.
type Member struct {
	Name       string
	Server     bool
	Kubernetes string
}

// allowed refuses what Kubernetes' rules on versions forbid: its API server goes up
// one minor release at a time and never down, API servers of one cluster are at most
// one apart, a kubelet is never newer than an API server, and not too old for it.
// Others are the other nodes of a server's cluster, and of an agent's its servers.
func allowed(from, to Version, server bool, others []Member) error {
	now, err := release("the kelp that runs", from.Kubernetes)
	if err != nil {
		return err
	}
	next, err := release("the new kelp", to.Kubernetes)
	if err != nil {
		return err
	}
	switch up := step(now, next); {
	case up < 0:
		return fmt.Errorf("kelp %s has Kubernetes %s, older than the %s that runs: what a newer minor release has stored an older one may not know; restore a snapshot that was made before", to.Kelp, to.Kubernetes, from.Kubernetes)
	case up > 1:
		return fmt.Errorf("kelp %s has Kubernetes %s, and %s runs: Kubernetes goes up one minor release at a time; upgrade to v%d.%d first", to.Kelp, to.Kubernetes, from.Kubernetes, now.Major(), now.Minor()+1)
	}
	var problems []error
	for _, m := range others {
		its, err := release(m.Name, m.Kubernetes)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		apart := step(its, next)
		switch {
		case !server && m.Server && newer(next, its):
			problems = append(problems, fmt.Errorf("kelp %s has Kubernetes %s, newer than the server %s with %s: upgrade the servers first", to.Kelp, to.Kubernetes, m.Name, m.Kubernetes))
		case server && m.Server && apart > 1:
			problems = append(problems, fmt.Errorf("the server %s has Kubernetes %s, and servers may be one minor release apart: upgrade it to %s first", m.Name, m.Kubernetes, from.Kubernetes))
		case server && !m.Server && apart > kubeletSkew:
			problems = append(problems, fmt.Errorf("the agent %s has Kubernetes %s, which may be %d minor releases older than a server's at most: upgrade it first", m.Name, m.Kubernetes, kubeletSkew))
		}
	}
	return errors.Join(problems...)
}

func release(who, text string) (*semver.Version, error) {
	v, err := semver.ParseGeneric(text)
	if err != nil {
		return nil, fmt.Errorf("the Kubernetes version of %s, %q, cannot be read: %w", who, text, err)
	}
	return v, nil
}

// step is by how many minor releases b is newer. Another major release is far away.
func step(a, b *semver.Version) int {
	const far = 1000
	return int(b.Minor()) - int(a.Minor()) + far*(int(b.Major())-int(a.Major()))
}

// newer compares releases, for what a build adds to one has no order.
func newer(a, b *semver.Version) bool {
	if up := step(b, a); up != 0 {
		return up > 0
	}
	return a.Patch() > b.Patch()
}
