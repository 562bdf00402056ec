package nearest

import "testing"

func TestName(t *testing.T) {
	t.Parallel()
	known := []string{"server", "status", "config", "node-name", "node-ip", "clusterCIDRs", "i"}
	for name, want := range map[string]string{
		"sever": "server", "Server": "server", "satus": "status", "confg": "config",
		"nodename": "node-name", "node_name": "node-name", "node-nmae": "node-name", "cluster-cidrs": "clusterCIDRs",
		"zebra": "", "": "", "x": "", "se": "",
	} {
		if got := Name(name, known); got != want {
			t.Errorf("Name(%q) = %q, want %q", name, got, want)
		}
	}
	if got := Name("anything", nil); got != "" {
		t.Errorf("nearest of nothing is %q", got)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"kitten", "sitting", 3}} {
		if got := Distance(tc.a, tc.b); got != tc.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
		if got := Distance(tc.b, tc.a); got != tc.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tc.b, tc.a, got, tc.want)
		}
	}
}
