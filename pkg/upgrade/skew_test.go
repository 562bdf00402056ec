package upgrade

import (
	"strings"
	"testing"
)

func TestAllowed(t *testing.T) {
	t.Parallel()
	server, agent := true, false
	at := func(isServer bool, kubernetes string) []Member { return []Member{{"other", isServer, kubernetes}} }
	for _, c := range []struct {
		name     string
		from, to string
		server   bool
		others   []Member
		want     string // part of the error, "" for none
	}{
		{"another build of the same", "v1.37.2", "v1.37.2", server, nil, ""},
		{"a patch", "v1.37.2", "v1.37.9+kelp1", server, nil, ""},
		{"a patch back", "v1.37.9", "v1.37.2", server, nil, ""},
		{"a minor", "v1.37.2", "v1.38.0", server, nil, ""},
		{"two minors", "v1.37.2", "v1.39.0", server, nil, "upgrade to v1.38 first"},
		{"a minor back", "v1.38.0", "v1.37.9", server, nil, "older than the v1.38.0 that runs"},
		{"another major", "v1.37.2", "v2.0.0", server, nil, "one minor release at a time"},
		{"a major back", "v2.0.0", "v1.99.0", server, nil, "older than"},
		{"no version", "v1.37.2", "unknown", server, nil, `"unknown", cannot be read`},
		{"beside a server of the same", "v1.37.2", "v1.38.0", server, at(server, "v1.37.2+kelp1"), ""},
		{"beside a server that went before", "v1.37.2", "v1.38.0", server, at(server, "v1.38.0"), ""},
		{"beside a server that has stayed behind", "v1.37.2", "v1.38.0", server, at(server, "v1.36.1"), "the server other has Kubernetes v1.36.1"},
		{"with an old agent", "v1.37.2", "v1.38.0", server, at(agent, "v1.35.0"), ""},
		{"with too old an agent", "v1.37.2", "v1.38.0", server, at(agent, "v1.34.0"), "the agent other has Kubernetes v1.34.0"},
		{"with a node that says nothing", "v1.37.2", "v1.38.0", server, at(agent, ""), "of other"},
		{"an agent after its servers", "v1.37.2", "v1.38.0", agent, at(server, "v1.38.0+kelp1"), ""},
		{"an agent of its servers' release", "v1.37.2", "v1.37.2+kelp9", agent, at(server, "v1.37.2+kelp1"), ""},
		{"an agent before its servers", "v1.37.2", "v1.38.0", agent, at(server, "v1.37.2"), "upgrade the servers first"},
		{"an agent with a newer patch", "v1.37.2", "v1.37.3", agent, at(server, "v1.37.2"), "upgrade the servers first"},
		{"an agent before one of its servers", "v1.37.2", "v1.38.0", agent, append(at(server, "v1.38.0"), at(server, "v1.37.2")...), "upgrade the servers first"},
	} {
		err := allowed(Version{"k1", c.from}, Version{"k2", c.to}, c.server, c.others)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
