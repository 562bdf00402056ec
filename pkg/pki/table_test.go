package pki

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/golden"
)

func testConfig(dir string) config.Config {
	var c config.Config
	c.DataDir = dir
	c.Node.Name = "node-1"
	c.Node.IPs = []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	c.API.AdvertiseAddress = c.Node.IPs[0]
	c.API.HTTPSPort = 6443
	c.API.TLSSANs = []string{"kelp.example.com", "203.0.113.7"}
	c.Network.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}
	c.Network.ClusterDomain = "cluster.local"
	c.Kubeconfig.Path = dir + "/etc/kubeconfig.yaml"
	c.Kubeconfig.Mode = 0o600
	return c
}

func TestSignersExist(t *testing.T) {
	t.Parallel()
	table := Table(testConfig("/var/lib/kelp"))
	authorities := map[string]bool{}
	for _, e := range table {
		if e.Usage == Authority {
			authorities[e.Name] = true
			if e.Signer != "" {
				t.Errorf("authority %s is signed by %s: there are roots only", e.Name, e.Signer)
			}
		}
	}
	for _, e := range table {
		if e.Usage != Authority && !authorities[e.Signer] {
			t.Errorf("%s is signed by %q, which is no authority", e.Name, e.Signer)
		}
	}
}

func TestMastersAreTheseAndNoOthers(t *testing.T) {
	t.Parallel()
	var masters []string
	for _, e := range Table(testConfig("/var/lib/kelp")) {
		if slices.Contains(e.Groups, "system:masters") {
			masters = append(masters, e.Name)
		}
	}
	if want := []string{"admin", "kelp"}; !slices.Equal(masters, want) {
		t.Errorf("system:masters has %v, want %v", masters, want)
	}
}

func TestRightAuthorityForEachUsage(t *testing.T) {
	t.Parallel()
	// Who trusts an authority trusts all that it signs: a serving certificate
	// from the client authority would log in as a user.
	allowed := map[string][]Usage{
		ServerCA: {Serving}, ClientCA: {Client}, RequestHeaderCA: {Client}, EtcdCA: {Serving, Client, Peer},
	}
	for _, e := range Table(testConfig("/var/lib/kelp")) {
		if e.Usage != Authority && !slices.Contains(allowed[e.Signer], e.Usage) {
			t.Errorf("%s: %s certificate signed by %s", e.Name, e.Usage, e.Signer)
		}
		if (e.Usage == Serving || e.Usage == Peer) && len(e.DNS)+len(e.IPs) == 0 {
			t.Errorf("%s serves under no name", e.Name)
		}
	}
}

func TestNamesAndFilesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, e := range Table(testConfig("/var/lib/kelp")) {
		for _, thing := range []string{e.Name, e.Files.Cert, e.Files.Key, e.Kubeconfig} {
			if thing == "" {
				continue
			}
			if other, twice := seen[thing]; twice {
				t.Errorf("%s and %s share %s", other, e.Name, thing)
			}
			seen[thing] = e.Name
		}
	}
}

func TestServingNamesComeFromTheConfiguration(t *testing.T) {
	t.Parallel()
	for _, e := range Table(testConfig("/var/lib/kelp")) {
		if e.Name != APIServer {
			continue
		}
		for _, want := range []string{"kubernetes.default.svc.cluster.local", "kelp.example.com", "node-1", "localhost"} {
			if !slices.Contains(e.DNS, want) {
				t.Errorf("%s is missing in %v", want, e.DNS)
			}
		}
		for _, want := range []string{"10.43.0.1", "192.0.2.10", "203.0.113.7", "127.0.0.1", "::1"} {
			if !slices.Contains(e.IPs, netip.MustParseAddr(want)) {
				t.Errorf("%s is missing in %v", want, e.IPs)
			}
		}
	}
}

// TestDocumented keeps docs/certificates.md equal to the table.
func TestDocumented(t *testing.T) {
	t.Parallel()
	golden.Check(t, "../../../docs/certificates.md", []byte(document()))
}

func document() string {
	var b strings.Builder
	b.WriteString("<!-- generated from pkg/pki/table.go by `make golden`; do not edit -->\n# Certificates\n\n" +
		"Every certificate of a node `node-1`. Keys are ECDSA P-256, files 0600, directories 0700. Authorities are valid for ten years,\n" +
		"leaves for one; a leaf is renewed, with its key, while kelp runs and when under a third of its life is left. `kelp certificate list` shows the\n" +
		"days that are left, `kelp certificate rotate` issues leaves anew with new keys. An authority of your own, chain and key, is used when its two\n" +
		"files are in place before the first start.\n\n" +
		"| name | signer | subject | usage | names | renewed file is |\n|---|---|---|---|---|---|\n")
	for _, e := range Table(testConfig("/var/lib/kelp")) {
		subject := "CN=" + e.CN
		for _, g := range e.Groups {
			subject += ", O=" + g
		}
		names := strings.Join(append(slices.Clone(e.DNS), texts(e.IPs)...), " ")
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", e.Name, e.Signer, subject, e.Usage, names, e.Reload)
	}
	b.WriteString("\n`server/tls/service-account.key` and `.pub` sign and check the tokens of service accounts; they are never renewed by themselves.\n" + successors)
	return b.String()
}

// successors is the page's part on rotate-ca.
const successors = `
## Successors of the authorities

<!-- test: TestPages authorities -->
` + "```sh" + `
kelp certificate rotate-ca                     # on one server, as root: new authorities for the whole cluster
kelp certificate rotate-ca --from /root/pki    # those whose NAME.crt and NAME.key are there; the others are made anew
kelp certificate rotate-ca --status            # which servers have them
` + "```" + `

Nothing is restarted and nothing has to happen at a certain time: each new authority is signed by the one before it, too, and that certificate goes with all that the new one signs. Whoever trusts the
old authority alone accepts the new one's certificates; what the old one has signed is accepted as before. So old kubeconfigs and tokens work on, machines that were off follow when they are back, and agents
get their certificates anew within ten minutes. A file of your own may hold the authorities above yours after it, as before the first start; its name must not be that of the one in use.

The servers get the authorities through a Secret, ` + "`kube-system/kelp-authorities`" + `, sealed with a key that only they have. A server that is killed on the way goes on when it starts. After a restore of a
snapshot from before, the servers keep the new authorities. Tokens go on naming the cluster by the hash of the authority that it began with.

Predecessors stay trusted: where the key of one is in a stranger's hands, this is not enough, and kelp has no command yet that ends the trust in it.
`
