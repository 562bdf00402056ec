package upgrade

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/snapshots"
)

// rehearseWithin bounds the rehearsal: it reads and writes the whole datastore.
const rehearseWithin = 15 * time.Minute

// Rehearse is the hidden command of the new program. What the arguments and the
// snapshot are comes on its standard input, as Rehearsal reads it.
const Rehearse = "rehearse"

// rehearse makes a snapshot on a server, and has the new program do what it can
// of a start. It returns the snapshot's name, also with an error.
func (u *Upgrade) rehearse(ctx context.Context, candidate string, to Version) (saved string, err error) {
	ctx, cancel := context.WithTimeout(ctx, rehearseWithin)
	defer cancel()
	dir := snapshots.Dir(u.Config.SnapshotDir())
	file := ""
	if u.Running.Role == "server" {
		e, err := snapshots.Save(ctx, u.Config, snapshots.Request{Name: snapshots.BeforeUpgrade, Reason: snapshots.BeforeUpgrade, Pinned: true, Dir: dir})
		if err != nil {
			return "", fmt.Errorf("save a snapshot before the upgrade: %w", err)
		}
		saved, file = e.Name, e.Location
		u.Tell("saved the snapshot " + saved)
	}
	command := exec.CommandContext(ctx, candidate, "upgrade", Rehearse)
	command.Env = u.Running.Env
	command.Stdin = strings.NewReader(strings.Join(append([]string{file, u.Running.Role}, u.Running.Args...), "\x00"))
	command.WaitDelay = time.Second
	out, err := command.CombinedOutput()
	if err != nil {
		return saved, fmt.Errorf("kelp %s would not start here: %w", to.Kelp, reason(out, err))
	}
	u.Tell("kelp " + to.Kelp + " takes the configuration and the data")
	return saved, nil
}

// Rehearsal is what a rehearsal is about.
type Rehearsal struct {
	Snapshot string // a file; empty on an agent
	Role     string
	Args     []string
}

// ParseRehearsal reads what a rehearsal is given.
func ParseRehearsal(text []byte) (Rehearsal, error) {
	words := strings.Split(string(text), "\x00")
	if len(words) < 2 || words[1] != "server" && words[1] != "agent" {
		return Rehearsal{}, errors.New("a rehearsal is for kelp upgrade to call")
	}
	return Rehearsal{Snapshot: words[0], Role: words[1], Args: words[2:]}, nil
}

// reason is what a program has said of its end: its error, or its last lines.
func reason(out []byte, err error) error {
	const last = 5
	text := string(bytes.TrimSpace(out))
	if _, said, found := strings.Cut("\n"+text, "\nerror: "); found {
		return errors.New(said)
	}
	lines := strings.Split(text, "\n")
	if text = strings.Join(lines[max(0, len(lines)-last):], "\n"); text == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, text)
}
