package encryption

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
)

// Status is what there is to know of Secrets in the datastore.
type Status struct {
	Stage   Stage  `json:"stage"`
	Write   string `json:"write"` // the key that is written with, "" for none
	Next    string `json:"next,omitempty"`
	Problem string `json:"problem,omitempty"`
	// Keys are all that are known, the newest first.
	Keys []KeyStatus `json:"keys"`
	// Plain is how many Secrets are not encrypted, Foreign how many are by
	// something that kelp does not know.
	Plain   int `json:"plain"`
	Foreign int `json:"foreign"`
	// Servers are the addresses of those that have said what they have loaded,
	// and whether that is what they should have.
	Servers map[string]bool `json:"servers"`
}

// KeyStatus is what there is to know of a key.
type KeyStatus struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Secrets int       `json:"secrets"` // that are encrypted with it
}

// errNone says that there is no state: kelp's API server has not run yet, or the
// user has a configuration of his own.
var errNone = errors.New("the datastore holds no keys of Secrets")

func mustLoad(ctx context.Context, kv clientv3.KV) (State, error) {
	s, ok, err := load(ctx, kv)
	if err == nil && !ok {
		err = errNone
	}
	return s, err
}

// StatusOf reads the state and every Secret.
func StatusOf(ctx context.Context, p config.Paths, kv clientv3.KV) (Status, error) {
	s, err := mustLoad(ctx, kv)
	if err != nil {
		return Status{}, err
	}
	box, err := boxFor(p)
	if err != nil {
		return Status{}, err
	}
	text, err := s.file(box)
	if err != nil {
		return Status{}, err
	}
	st := Status{Stage: s.Stage, Write: s.Write, Next: s.Next, Problem: s.Problem, Servers: map[string]bool{}}
	hashes, err := loaded(ctx, kv)
	if err != nil {
		return Status{}, err
	}
	for server, hash := range hashes {
		st.Servers[server] = hash == Hash(text)
	}
	with := map[string]int{}
	err = eachSecret(ctx, kv, func(_, _ string, value []byte) error {
		i := slices.IndexFunc(s.Keys, func(k Key) bool { return strings.HasPrefix(string(value), prefixOf(k.Name)) })
		switch {
		case i >= 0:
			with[s.Keys[i].Name]++
		case strings.HasPrefix(string(value), prefix):
			st.Foreign++
		default:
			st.Plain++
		}
		return nil
	})
	for _, k := range s.Keys {
		st.Keys = append(st.Keys, KeyStatus{k.Name, k.Created, with[k.Name]})
	}
	return st, err
}

// Change is what a user may begin.
type Change string

// The changes.
const (
	Rotate  Change = "rotate"    // to a new key
	Rewrite Change = "reencrypt" // what is not encrypted with the key in use
	Enable  Change = "enable"    // encryption, where it was disabled
	Disable Change = "disable"   // encryption: Secrets are written as they are
)

// Begin begins a change, which the leading server then does. One that is not done
// yet is left to go on: resumed says so.
func Begin(ctx context.Context, p config.Paths, kv clientv3.KV, c Change) (resumed bool, err error) {
	s, err := mustLoad(ctx, kv)
	if err != nil {
		return false, err
	}
	if s.Stage != Settled {
		if (c == Disable) != (s.Write == "" && s.Next == "") {
			return false, fmt.Errorf("%w: see kelp secrets-encrypt status, and try again when it is", errUnsettled)
		}
		return true, nil
	}
	box, err := boxFor(p)
	if err != nil {
		return false, err
	}
	switch enabled := s.Write != ""; {
	case c == Disable && !enabled, c == Enable && enabled:
		return false, fmt.Errorf("there is nothing to %s: %s", c, tell(s))
	case c == Disable:
		err = s.disable()
	case c == Rewrite:
		err = s.rewrite()
	case c == Rotate && !enabled:
		return false, errors.New("there is no key to rotate, as Secrets are not encrypted: enable makes one")
	default:
		err = s.rotate(box, time.Now())
	}
	if err != nil {
		return false, err
	}
	return false, s.store(ctx, kv)
}

// Behind are the servers that have not loaded what they should have, sorted. Those
// that do not run are among them.
func (s Status) Behind() []string {
	var behind []string
	for _, server := range slices.Sorted(maps.Keys(s.Servers)) {
		if !s.Servers[server] {
			behind = append(behind, server)
		}
	}
	return behind
}
