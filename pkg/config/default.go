package config

import (
	"net/netip"
	"time"
)

// DefaultFile is the configuration file that is read when none is named.
const DefaultFile = "/etc/kelp/config.yaml"

// Default returns the configuration of a machine on which nothing is set.
// What depends on the machine is left empty; Complete fills it in.
func Default() Config {
	return Config{
		DataDir: "/var/lib/kelp",
		Log:     Log{Level: LogInfo, Format: LogText},
		API:     API{HTTPSPort: 6443},
		Network: Network{
			Backend:              BackendVXLAN,
			ClusterCIDRs:         []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")},
			ServiceCIDRs:         []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")},
			ServiceNodePortRange: PortRange{First: 30000, Last: 32767},
			ClusterDomain:        "cluster.local",
		},
		Datastore: Datastore{Kind: DatastoreAuto, VoterGrace: Duration(5 * time.Minute)},
		Snapshots: Snapshots{
			Schedule: "0 */6 * * *", Jitter: Duration(5 * time.Minute), Retain: 20, MaxAge: Duration(30 * 24 * time.Hour), Name: "kelp", Compress: true,
		},
		S3:         S3{Endpoint: "s3.amazonaws.com", Region: "us-east-1", Retain: 60, Timeout: Duration(10 * time.Minute)},
		Kubeconfig: Kubeconfig{Path: "/etc/kelp/kubeconfig.yaml", Mode: 0o600},
		Kubelet:    Kubelet{ConfigDir: "/etc/kelp/kubelet.conf.d"},
		Containerd: Containerd{ConfigDir: "/etc/kelp/containerd.conf.d", Registries: "/etc/kelp/registries.yaml", Snapshotter: SnapshotterOverlayFS},
	}
}
