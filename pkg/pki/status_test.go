package pki

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

// What is listed follows the files: whole, in their last third, ended, gone.
func TestStatusesFollowTheFiles(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	cfg.Node.Name = "one"
	cfg.Kubeconfig.Path = cfg.DataDir + "/kubeconfig"
	if err := New(cfg).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := Table(cfg)
	found, err := Read(table)
	if err != nil {
		t.Fatal(err)
	}
	at := func(now time.Time) map[string]Status {
		by := map[string]Status{}
		for _, s := range Statuses(table, found, now) {
			by[s.Name] = s
		}
		return by
	}
	now := time.Now()
	for _, s := range at(now) {
		if s.Due != "" || s.DaysLeft < 364 {
			t.Errorf("%s is new and listed as %+v", s.Name, s)
		}
	}
	if s := at(now)[Admin]; s.Subject != "CN=system:admin,O=system:masters" || s.Authority != ClientCA {
		t.Errorf("admin is listed as %+v", s)
	}
	if s := at(now.Add(300 * day))[Kubelet]; s.DaysLeft != 64 || s.Due != "under a third of its life is left" {
		t.Errorf("after 300 days: %+v", s)
	}
	if s := at(now.Add(366 * day))[Kubelet]; s.DaysLeft != -2 || s.Due != "expired" {
		t.Errorf("after 366 days: %+v", s)
	}
	f := found[Kubelet]
	f.Key = found[Admin].Key
	found[Kubelet] = f
	if s := at(now)[Kubelet]; s.Due != "key does not match" || !strings.HasSuffix(s.Damaged, ".key is not the key of "+s.File) {
		t.Errorf("with another's key: %+v", s)
	}
	found[Kubelet] = Found{CertErr: errors.New("c.crt: there is no certificate in it")}
	if s := at(now)[Kubelet]; s.Due != "cannot be read" || s.Damaged != "c.crt: there is no certificate in it" {
		t.Errorf("damaged: %+v", s)
	}
	delete(found, ClientCA)
	if s := at(now); s[ClientCA].Due != "missing" || s[Admin].Due != "its authority is missing" || s[APIServer].Due != "" {
		t.Errorf("without an authority: %+v %+v", s[ClientCA], s[Admin])
	}
}
