package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/upgrade"
)

// patience is how long the API may be away: each server restarts, and so does the
// one that is asked.
const patience = 5 * time.Minute

// Request is what kelp upgrade --cluster is asked for.
type Request struct {
	upgrade.Request
	Cordon, Drain bool
}

// Start looks at the program and makes the Upgrade of it. A file is kept on this
// server, which hands it out.
func Start(ctx context.Context, u *upgrade.Upgrade, r Request) (Upgrade, error) {
	if u.Running.Role != "server" {
		return Upgrade{}, errors.New("a cluster is upgraded from one of its servers, and this is an agent")
	}
	cfg := u.Config
	c, err := connect(pki.KubeconfigOf(cfg.Paths(), pki.Kelp))
	if err != nil {
		return Upgrade{}, err
	}
	all, _, err := list(ctx, c.dynamic)
	if err != nil {
		return Upgrade{}, err
	}
	if other, there := active(all); there {
		return Upgrade{}, fmt.Errorf("the upgrade %s to kelp %s is under way: kelp kubectl get upgrade %s says how far it is, and kelp kubectl delete upgrade %s ends it", other.Name, other.Spec.Version, other.Name, other.Name)
	}
	spec, err := specOf(ctx, u, r)
	if err != nil {
		return Upgrade{}, err
	}
	made := Upgrade{ObjectMeta: metav1.ObjectMeta{GenerateName: nameOf(spec.Version)}, Spec: spec}
	o, err := made.object()
	if err != nil {
		return Upgrade{}, err
	}
	if o, err = c.dynamic.Resource(Resource).Create(ctx, o, metav1.CreateOptions{FieldManager: "kelp"}); err != nil {
		return Upgrade{}, fmt.Errorf("make the upgrade: %w", err)
	}
	return parse(o)
}

// specOf fetches the program, and looks at it. What is a file, or was given with a
// key that must have signed it, is handed out by this server.
func specOf(ctx context.Context, u *upgrade.Upgrade, r Request) (Spec, error) {
	dir := u.Config.Paths().Programs
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Spec{}, fmt.Errorf("make the directory of programs: %w", err)
	}
	staged := filepath.Join(dir, "new")
	defer os.Remove(staged)
	p, err := u.Stage(ctx, r.Request, staged)
	var same *upgrade.SameError
	if err != nil && !errors.As(err, &same) { // the others may have another one
		return Spec{}, err
	}
	spec := Spec{Version: p.Kelp, URL: r.Source, SHA256: p.SHA256, Cordon: r.Cordon || r.Drain, Drain: r.Drain, Timeout: r.Timeout.String()}
	if strings.Contains(r.Source, "://") && r.PublicKey == "" {
		if !p.Named { // nodes of another architecture take another program from there
			spec.SHA256 = ""
		}
		return spec, nil
	}
	address := join.AddressOf(u.Config)
	if address == "" {
		return Spec{}, errors.New("this server does not know at which address others reach it: set api.advertiseAddress")
	}
	if err := errors.Join(os.Rename(staged, programOf(u.Config, p.SHA256)), atomicfile.SyncDir(dir)); err != nil {
		return Spec{}, fmt.Errorf("keep the program: %w", err)
	}
	spec.URL = "https://" + address + programsPath + p.SHA256
	return spec, nil
}

// nameOf is what the name of an Upgrade begins with.
func nameOf(version string) string {
	safe := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}
	return "to-" + strings.Trim(strings.Map(safe, strings.ToLower(version)), "-.") + "-"
}

// Await follows an Upgrade to its end, and tells of each change.
func Await(ctx context.Context, cfg config.Config, u Upgrade, tell func(string)) (Upgrade, error) {
	c, err := connect(pki.KubeconfigOf(cfg.Paths(), pki.Kelp))
	if err != nil {
		return u, err
	}
	for {
		err := poll.Until(ctx, patience, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, again)
			defer cancel()
			o, err := c.dynamic.Resource(Resource).Get(ctx, u.Name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("look at the upgrade %s: %w", u.Name, err)
			}
			now, err := parse(o)
			if err != nil {
				return err
			}
			changes(u.Status, now.Status, tell)
			u = now
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return u, fmt.Errorf("the upgrade goes on: kelp kubectl get upgrade %s -o yaml says how far it is", u.Name)
		case err != nil:
			return u, err
		case u.Status.Phase == Failed:
			return u, fmt.Errorf("the cluster was not upgraded to kelp %s: %s; the nodes after it were not begun, and those before it keep the new version", u.Spec.Version, u.Status.Message)
		case u.Status.Phase == Done:
			return u, nil
		}
		poll.Pause(ctx, busy/4)
	}
}

// changes tells what is new.
func changes(before, now Status, tell func(string)) {
	for _, n := range now.Nodes {
		was := before.node(n.Name)
		if n.State == "" || n.State == was.State {
			continue
		}
		line := n.Name + ": " + strings.ToLower(n.State)
		if n.State == Done {
			line = n.Name + ": kelp " + n.Version
		}
		if n.Message != "" {
			line += ", " + n.Message
		}
		tell(line)
	}
	if now.Message != "" && now.Message != before.Message && now.Phase != Failed && strings.HasPrefix(now.Message, "waits") {
		tell(now.Message)
	}
}
