package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	old, err := Default().Complete(machine)
	if err != nil {
		t.Fatal(err)
	}
	was := Origins{}.WithMachine(Default(), old)
	now := old
	now.Node.Labels = []string{"a=1", "b=2"}
	now.Token = "secret-1"
	now.Args.Kubelet = []string{"v=1,2", "max-pods=9"}
	now.Network.ClusterDomain = "other.local"
	now.Node.IPs = []netip.Addr{netip.MustParseAddr("192.0.2.99")} // the machine's own doing
	origins := was.Take(Origins{"node.labels": {File: "c.yaml", Line: 3}, "token": {Env: "KELP_TOKEN"}}, []string{"node.labels", "token"})
	got := Diff(old, was, now, origins)
	want := []Change{
		{"token", "", "(redacted)", Restart, "cluster", "KELP_TOKEN"},
		{"node.labels", "", "a=1,b=2", Live, "node", "c.yaml:3"},
		{"network.clusterDomain", "cluster.local", "other.local", Never, "cluster", "default"},
		{"args.kubelet", "", "v=1,2 max-pods=9", Restart, "node", "default"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	other := now
	other.Token = "secret-2"
	if got := Diff(now, origins, other, origins); len(got) != 1 || got[0].Old != redacted || got[0].New != redacted {
		t.Errorf("another secret: %+v", got)
	}
	origins["node.ips"] = Origin{File: "c.yaml", Line: 9}
	if got := Settings(Diff(old, was, now, origins)); !slices.Contains(got, "node.ips") {
		t.Errorf("an address that somebody has set is no change: %v", got)
	}
	if got := Diff(old, was, old, was); got != nil {
		t.Errorf("nothing differs, and yet %+v", got)
	}
}

// TestTake takes each setting alone, and no other with it.
func TestTake(t *testing.T) {
	t.Parallel()
	old := Default()
	for _, f := range Fields() {
		now := changed(t, f, old)
		if got := Settings(Diff(old, nil, now, nil)); !slices.Equal(got, []string{f.Path}) {
			t.Errorf("%s: the difference is %v", f.Path, got)
		}
		if taken := old.Take(now, []string{f.Path}); !reflect.DeepEqual(taken, now) {
			t.Errorf("%s was not taken", f.Path)
		}
		if taken := old.Take(now, []string{"nothing"}); !reflect.DeepEqual(taken, old) {
			t.Errorf("%s was taken, and nobody has asked for it", f.Path)
		}
	}
}

// changed is a configuration with another value of one field.
func changed(t *testing.T, f Field, c Config) Config {
	t.Helper()
	v := f.value(&c)
	for _, text := range append([]string{"true", "false", "77", "192.0.2.7", "192.0.2.0/24", "1-7", "0640", "7m", "other"}, f.Values...) {
		parsed, err := f.parseAll([]string{text})
		if err == nil && !reflect.DeepEqual(parsed.Interface(), v.Interface()) {
			v.Set(parsed)
			return c
		}
	}
	t.Fatalf("no other value of %s", f.Path)
	return c
}

// A text in the place of the file is read as the file is, with its drop-ins, and
// named as where it comes from.
func TestInsteadOfTheFile(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "node-label: [a=1]\n", "c.yaml.d/b.yaml", "node-label+: [b=1]\n")
	cfg, origins, err := Load(LoadOptions{File: file, Instead: &Text{"new.yaml", []byte("log-level: warn\nnode-label: [c=1]\n")}})
	if err != nil || !slices.Equal(cfg.Node.Labels, []string{"c=1", "b=1"}) || origins["log.level"].String() != "new.yaml:1" {
		t.Errorf("labels %v, level from %s, %v", cfg.Node.Labels, origins["log.level"], err)
	}
	_, _, err = Load(LoadOptions{File: file, Instead: &Text{"new.yaml", []byte("zebra: 1\n")}})
	if err == nil || !strings.HasPrefix(err.Error(), `new.yaml:1: unknown key "zebra"`) {
		t.Errorf("got %v", err)
	}
	if _, _, err := Load(LoadOptions{File: file + ".none", Instead: &Text{}}); err != nil {
		t.Errorf("the file need not exist: %v", err)
	}
}
