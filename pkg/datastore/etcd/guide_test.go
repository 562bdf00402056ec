package etcd

import (
	"context"
	"strings"
	"testing"

	"github.com/kelp-project/kelp/tests/guide"
)

// The guide's command as it stands is refused for what is kelp's.
func TestGuideCommandIsRefusedByName(t *testing.T) {
	t.Parallel()
	_, err := Merged(sample(guide.Command("etcd.yaml")...))
	if err == nil {
		t.Fatal("it was accepted")
	}
	const listen = "it is on loopback, and on the first of node.ips where there are other servers"
	want := []string{
		`"--advertise-client-urls=https://10.0.1.10:2379": advertise-client-urls is set by kelp; ` + listen,
		`"--cert-file=/etc/kubernetes/pki/etcd/server.crt": cert-file is set by kelp; ` + ownCerts,
		`"--data-dir=/var/lib/etcd": data-dir is set by kelp; set dataDir instead`,
		`"--initial-advertise-peer-urls=https://10.0.1.10:2380": initial-advertise-peer-urls is set by kelp; ` + listen,
		`"--initial-cluster=master1=https://10.0.1.10:2380,master2=https://10.0.1.11:2380,master3=https://10.0.1.12:2380": initial-cluster is set by kelp; ` + ownPeers,
		`"--key-file=/etc/kubernetes/pki/etcd/server.key": key-file is set by kelp; ` + ownCerts,
		`"--listen-client-urls=https://10.0.1.10:2379,https://127.0.0.1:2379": listen-client-urls is set by kelp; ` + listen,
		`"--listen-peer-urls=https://10.0.1.10:2380": listen-peer-urls is set by kelp; ` + listen,
		`"--name=master1": name is set by kelp; set node.name instead`,
		`"--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt": peer-cert-file is set by kelp; ` + ownCerts,
		`"--peer-key-file=/etc/kubernetes/pki/etcd/peer.key": peer-key-file is set by kelp; ` + ownCerts,
		`"--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt": peer-trusted-ca-file is set by kelp; ` + ownCerts,
		`"--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt": trusted-ca-file is set by kelp; ` + ownCerts,
	}
	if got := strings.ReplaceAll(err.Error(), "etcd argument ", ""); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// All the rest is in force.
func TestGuideCommand(t *testing.T) {
	t.Parallel()
	rest := guide.Keep(guide.Command("etcd.yaml"), "advertise-client-urls", "cert-file", "data-dir", "initial-advertise-peer-urls", "initial-cluster", "key-file",
		"listen-client-urls", "listen-peer-urls", "name", "peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "trusted-ca-file")
	cfg, err := embedConfig(sample(rest...), &logCore{ctx: context.Background()})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SnapshotCount != 10000 || cfg.TickMs != 100 || cfg.ElectionMs != 1000 || cfg.MaxSnapFiles != 5 || cfg.MaxWalFiles != 5 || cfg.QuotaBackendBytes != 2<<30 {
		t.Errorf("the guide's settings of pace and size are not in force: %+v", cfg)
	}
	if cfg.InitialClusterToken != "k8s-etcd-cluster" || cfg.ClusterState != "new" || !cfg.ClientTLSInfo.ClientCertAuth || !cfg.PeerTLSInfo.ClientCertAuth {
		t.Errorf("the guide's settings of the cluster are not in force: %+v", cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Errorf("etcd refuses the configuration: %v", err)
	}
}
