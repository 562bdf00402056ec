package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/encryption"
)

func keysFixture(stage encryption.Stage, old, now int) encryption.Status {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return encryption.Status{
		Stage: stage, Write: "b", Keys: []encryption.KeyStatus{{Name: "b", Created: made, Secrets: now}, {Name: "a", Created: made, Secrets: old}},
		Servers: map[string]bool{"192.0.2.1:6443": true, "192.0.2.2:6443": false},
	}
}

func TestAChangeOfKeysIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	spreading := keysFixture(encryption.Spreading, 5, 0)
	spreading.Write, spreading.Next = "a", "b"
	stuck := keysFixture(encryption.Rewriting, 3, 2)
	stuck.Problem = "write Secret default/x anew: no"
	looks := []encryption.Status{spreading, spreading, stuck, keysFixture(encryption.Rewriting, 1, 4), keysFixture(encryption.Settled, 0, 5)}
	var out bytes.Buffer
	err := followKeys(t.Context(), &out, func(context.Context) (encryption.Status, error) {
		s := looks[0]
		looks = looks[1:]
		return s, nil
	})
	want := `all servers learn key b
rewriting: write Secret default/x anew: no
Secrets are written anew: 4 of 5
done: 5 Secrets are encrypted with key b
`
	if err != nil || out.String() != want {
		t.Errorf("%v: got\n%swant\n%s", err, out.String(), want)
	}
}

func TestAnInterruptedChangeSaysThatItGoesOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := followKeys(ctx, &bytes.Buffer{}, func(context.Context) (encryption.Status, error) {
		cancel()
		return keysFixture(encryption.Rewriting, 1, 1), nil
	})
	if err == nil || !strings.Contains(err.Error(), "the servers go on") {
		t.Errorf("got %v", err)
	}
}

func TestKeysAreShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := keysFixture(encryption.Settled, 1, 4)
	s.Plain, s.Foreign = 2, 3
	if err := printKeys(&out, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Secrets are encrypted; settled", "not running: 192.0.2.2:6443", "write  4", "read   1", "(none)", "(unknown)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
