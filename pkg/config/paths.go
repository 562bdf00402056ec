package config

import (
	"path/filepath"
	"slices"
)

// Paths is where everything is on disk. No other code joins paths to the
// data directory.
type Paths struct {
	DataDir string // everything durable
	RunDir  string // sockets and other things that a reboot may take: /run/kelp

	TLS            string // the server's authorities, certificates and keys
	Kubeconfigs    string // kubeconfigs of the server's components, 0600
	TokenFile      string // the token, written at the first start, 0600
	AgentTokenFile string // the token for agents, 0600
	Manifests      string // users' and packaged manifests
	SQLite         string // the directory of the SQLite datastore
	SQLiteFile     string // the database itself
	KineSocket     string // kine's gRPC socket, 0600
	Encryption     string // the keys that Secrets are encrypted with, as the API server reads them, 0600
	EgressSocket   string // the API server's way to nodes, 0600
	Etcd           string // the embedded etcd member's data
	EtcdServers    string // the etcd members that a server which joined others remembers
	ExternalFile   string // says that the data is in an external datastore
	MoveToEtcd     string // asks the next start to move SQLite's data to etcd
	Epoch          string // which restore or reset the data is of
	Reset          string // the last reset of the cluster to this server
	Peers          string // the hosts of the other servers with an etcd member
	Swap           string // the renames of a restore that are not done yet
	Restored       string // the snapshot that was restored last
	Snapshots      string // snapshots, unless the configuration names another directory
	Removed        string // says that the server was removed from its cluster
	VersionFile    string // the version that wrote this directory last
	Upgrade        string // the upgrade that is on trial, and how the last one has ended
	Programs       string // programs that this server hands out to the cluster's nodes
	StatusSocket   string // kelp status asks here, root only, 0600
	Starts         string // how often kelp has started since the machine has booted

	Images             string // image archives that a user drops in
	ImagesImported     string // which archives have been imported, by digest
	Bin                string // unpacked helper binaries: runc, the shim
	CNIBin             string // unpacked CNI plugins
	CNIConf            string // CNI configuration
	AgentTLS           string // the node's certificates and keys
	AgentKubeconfigs   string // kubeconfigs of the node's components
	ContainerdRoot     string // containerd's images and snapshots
	ContainerdDamaged  string // those of a database that could not be read any more
	ContainerdState    string // containerd's running state, on a tmpfs
	ContainerdSocket   string // containerd's gRPC and CRI socket, 0600
	ContainerdHosts    string // hosts.toml per registry, from registries.yaml
	NRISocket          string // where containerd takes plugins, root only
	NRI                string // where containerd would find plugins to start: there are none
	KubeletRoot        string // the kubelet's directory; CSI drivers expect /var/lib/kubelet
	KubeletConfig      string // the computed KubeletConfiguration
	StaticPods         string // static pods' manifests
	Flannel            string // flannel's subnet file
	BalancerFile       string // the servers that the balancer remembers
	ClusterFile        string // what an agent was told of the cluster
	NodeSecret         string // proves that this machine has its node name, 0600
	LocalStorage       string // volumes of the local-path StorageClass
	CertificateBackups string // certificates that a rotation replaced
}

// Paths computes every path from DataDir.
func (c Config) Paths() Paths {
	data := func(parts ...string) string { return filepath.Join(append([]string{c.DataDir}, parts...)...) }
	run := func(parts ...string) string { return filepath.Join(append([]string{"/run/kelp"}, parts...)...) }
	return Paths{
		DataDir: c.DataDir,
		RunDir:  run(),

		TLS:            data("server", "tls"),
		Kubeconfigs:    data("server", "kubeconfigs"),
		TokenFile:      data("server", "token"),
		AgentTokenFile: data("server", "agent-token"),
		Manifests:      data("server", "manifests"),
		SQLite:         data("server", "db", "sqlite"),
		SQLiteFile:     data("server", "db", "sqlite", "state.db"),
		KineSocket:     run("kine.sock"),
		Encryption:     run("encryption.yaml"),
		EgressSocket:   run("egress.sock"),
		Etcd:           data("server", "db", "etcd"),
		EtcdServers:    data("server", "etcd-servers.json"),
		ExternalFile:   data("server", "db", "external"),
		MoveToEtcd:     data("server", "db", "move-to-etcd"),
		Epoch:          data("server", "db", "epoch.json"),
		Reset:          data("server", "db", "reset.json"),
		Peers:          data("server", "peers.json"),
		Swap:           data("server", "db", "swap.json"),
		Restored:       data("server", "db", "restored.json"),
		Snapshots:      data("server", "snapshots"),
		Removed:        data("server", "removed"),
		VersionFile:    data("version.json"),
		Upgrade:        data("upgrade"),
		Programs:       data("upgrade", "programs"),
		StatusSocket:   run("kelp.sock"),
		Starts:         run("starts"),

		Images:             data("images"),
		ImagesImported:     data("agent", "images-imported.json"),
		Bin:                data("bin"),
		CNIBin:             data("bin", "cni"),
		CNIConf:            data("agent", "cni", "net.d"),
		AgentTLS:           data("agent", "tls"),
		AgentKubeconfigs:   data("agent", "kubeconfigs"),
		ContainerdRoot:     data("agent", "containerd"),
		ContainerdDamaged:  data("agent", "containerd-damaged"),
		ContainerdState:    run("containerd"),
		ContainerdSocket:   run("containerd", "containerd.sock"),
		ContainerdHosts:    data("agent", "containerd-hosts"),
		NRISocket:          run("containerd", "nri.sock"),
		NRI:                data("agent", "nri"),
		KubeletRoot:        "/var/lib/kubelet",
		KubeletConfig:      data("agent", "kubelet.yaml"),
		StaticPods:         data("agent", "static-pods"),
		Flannel:            run("flannel"),
		BalancerFile:       data("agent", "servers.json"),
		ClusterFile:        data("agent", "cluster.json"),
		NodeSecret:         data("agent", "node-secret"),
		LocalStorage:       data("storage"),
		CertificateBackups: data("server", "tls-backups"),
	}
}

// NetworkPolicies says whether kelp enforces them on this node.
func (c Config) NetworkPolicies() bool {
	return c.Network.Backend != BackendNone && !c.Components.DisableAgent && !c.Disabled(NetworkPolicy)
}

// Disabled says whether a packaged component is switched off.
func (c Config) Disabled(name string) bool { return slices.Contains(c.Components.Disable, name) }
