package config

import "net/netip"

//go:generate go run ./internal/docgen/generate

// Config is everything that a user can set. It is built by Load, completed
// and validated once, and read-only after that: it is passed by value.
//
// Each field's doc comment is its help text. Tags: flag is the flag's name
// (its variable is KELP_ and the flag in capitals), alias its other names,
// which users of similar tools have in their fingers; scope says whether the
// value belongs to this node or to the whole cluster; change says when a new
// value takes effect (live, restart, never); secret values are redacted by
// every printer; commas:"keep" is for lists whose values hold commas
// themselves, so that one value is not split there.
type Config struct {
	// DataDir is the directory for everything that kelp keeps.
	DataDir string `yaml:"dataDir" flag:"data-dir" alias:"d" scope:"node" change:"never"`

	// Server is the address of any server of the cluster to join, as https://host:6443. Only its first start needs it.
	Server string `yaml:"server" flag:"server" alias:"s" scope:"node" change:"restart"`

	// Token is the cluster's secret, shared by servers and agents. Made at the first start when empty.
	Token string `yaml:"token" flag:"token" alias:"t" scope:"cluster" change:"restart" secret:"true"`

	// TokenFile is a file to read the token from.
	TokenFile string `yaml:"tokenFile" flag:"token-file" scope:"node" change:"restart"`

	// Debug turns on debug logging and the profiling endpoints.
	Debug bool `yaml:"debug" flag:"debug" scope:"node" change:"restart"`

	Log        Log        `yaml:"log"`
	Node       Node       `yaml:"node"`
	API        API        `yaml:"api"`
	Network    Network    `yaml:"network"`
	Datastore  Datastore  `yaml:"datastore"`
	Snapshots  Snapshots  `yaml:"snapshots"`
	S3         S3         `yaml:"s3"`
	Components Components `yaml:"components"`
	Kubeconfig Kubeconfig `yaml:"kubeconfig"`
	Kubelet    Kubelet    `yaml:"kubelet"`
	Containerd Containerd `yaml:"containerd"`
	Args       Args       `yaml:"args"`
}

// Log says what is logged and how.
type Log struct {
	// Level is the lowest level that is logged: debug, info, warn or error.
	Level LogLevel `yaml:"level" flag:"log-level" scope:"node" change:"live"`

	// Format is text for people or json for machines.
	Format LogFormat `yaml:"format" flag:"log-format" scope:"node" change:"restart"`
}

// Node describes the machine as a Kubernetes node.
type Node struct {
	// Name is the node's name in the cluster; the host's name by default.
	Name string `yaml:"name" flag:"node-name" scope:"node" change:"never"`

	// IPs are the node's addresses: one, or one IPv4 and one IPv6; those of the default route by default.
	IPs []netip.Addr `yaml:"ips" flag:"node-ip" alias:"i" scope:"node" change:"restart"`

	// ExternalIPs are addresses at which the node is reached from outside.
	ExternalIPs []netip.Addr `yaml:"externalIPs" flag:"node-external-ip" scope:"node" change:"restart"`

	// Labels are key=value labels of the node.
	Labels []string `yaml:"labels" flag:"node-label" scope:"node" change:"live"`

	// Taints are key=value:effect taints of the node.
	Taints []string `yaml:"taints" flag:"node-taint" scope:"node" change:"live"`
}

// API is the one TLS listener.
type API struct {
	// BindAddress is the address that the listener binds; all addresses (0.0.0.0, or :: in a cluster with IPv6) by default.
	BindAddress netip.Addr `yaml:"bindAddress" flag:"bind-address" scope:"node" change:"restart"`

	// AdvertiseAddress is the address at which other members reach this API server; the bind address if it is a single one, else the first node IP, by default.
	AdvertiseAddress netip.Addr `yaml:"advertiseAddress" flag:"advertise-address" scope:"node" change:"restart"`

	// HTTPSPort is the port of the listener.
	HTTPSPort uint16 `yaml:"httpsPort" flag:"https-listen-port" scope:"node" change:"restart"`

	// TLSSANs are further host names and addresses for the serving certificate.
	TLSSANs []string `yaml:"tlsSANs" flag:"tls-san" scope:"node" change:"restart"`
}

// Network is the addresses of the cluster and how packets get between nodes.
type Network struct {
	// Backend carries pods' packets between nodes: vxlan, host-gw, wireguard-native, or none to bring your own CNI.
	Backend NetworkBackend `yaml:"backend" flag:"network" alias:"flannel-backend" scope:"cluster" change:"never"`

	// ClusterCIDRs are the ranges that pods get addresses from: one IPv4 prefix, one IPv6 prefix, or both.
	ClusterCIDRs []netip.Prefix `yaml:"clusterCIDRs" flag:"cluster-cidr" scope:"cluster" change:"never"`

	// ServiceCIDRs are the ranges that Services get addresses from, in the same families as the pods'.
	ServiceCIDRs []netip.Prefix `yaml:"serviceCIDRs" flag:"service-cidr" scope:"cluster" change:"never"`

	// ServiceNodePortRange is the range of ports for Services of type NodePort.
	ServiceNodePortRange PortRange `yaml:"serviceNodePortRange" flag:"service-node-port-range" scope:"cluster" change:"restart"`

	// ClusterDNS are the addresses of the cluster's DNS Service; the tenth of each service range by default.
	ClusterDNS []netip.Addr `yaml:"clusterDNS" flag:"cluster-dns" scope:"cluster" change:"never"`

	// ClusterDomain is the domain of the cluster's DNS names.
	ClusterDomain string `yaml:"clusterDomain" flag:"cluster-domain" scope:"cluster" change:"never"`

	// Interface is the interface that carries packets between nodes; the one with the node's address by default.
	Interface string `yaml:"interface" flag:"network-interface" alias:"flannel-iface" scope:"node" change:"restart"`
}

// Datastore is where the cluster's objects are kept.
type Datastore struct {
	// Kind is sqlite, etcd or external; auto is SQLite for one server, etcd from the moment when a second one joins, and external where an endpoint is set.
	Kind DatastoreKind `yaml:"kind" flag:"datastore" scope:"cluster" change:"restart"`

	// Endpoint is a datastore that kelp does not run, shared by all servers: etcd as https://host:2379,https://host:2379; postgres://user:password@host:5432/database; mysql://user:password@tcp(host:3306)/database.
	Endpoint string `yaml:"endpoint" flag:"datastore-endpoint" scope:"node" change:"restart" secret:"true"`

	// CAFile is the authority of the external datastore's certificate.
	CAFile string `yaml:"caFile" flag:"datastore-ca-file" alias:"datastore-cafile" scope:"node" change:"restart"`

	// CertFile is the certificate that the external datastore is shown.
	CertFile string `yaml:"certFile" flag:"datastore-cert-file" alias:"datastore-certfile" scope:"node" change:"restart"`

	// KeyFile is the key of that certificate.
	KeyFile string `yaml:"keyFile" flag:"datastore-key-file" alias:"datastore-keyfile" scope:"node" change:"restart"`

	// VoterGrace is how long a server may be away before another one takes its vote in etcd.
	VoterGrace Duration `yaml:"voterGrace" flag:"voter-grace" scope:"cluster" change:"restart"`
}

// Snapshots are the copies of the datastore that kelp makes by itself.
type Snapshots struct {
	// Disable leaves out the scheduled snapshots; kelp snapshot save works all the same.
	Disable bool `yaml:"disable" flag:"snapshot-disable" alias:"etcd-disable-snapshots" scope:"cluster" change:"live"`

	// Schedule is when they are made, as a cron expression in the server's time zone: minute, hour, day of month, month, day of week.
	Schedule string `yaml:"schedule" flag:"snapshot-schedule" alias:"etcd-snapshot-schedule-cron" scope:"cluster" change:"live"`

	// Jitter is by how much a scheduled snapshot is late at most, at random, so that many clusters do not begin at one moment.
	Jitter Duration `yaml:"jitter" flag:"snapshot-jitter" scope:"cluster" change:"live"`

	// Retain is how many scheduled snapshots are kept, 0 for all. Those that are pinned, or were asked for, are not counted.
	Retain int `yaml:"retain" flag:"snapshot-retention" alias:"etcd-snapshot-retention" scope:"cluster" change:"live"`

	// MaxAge is how old a scheduled snapshot becomes; the three newest stay.
	MaxAge Duration `yaml:"maxAge" flag:"snapshot-max-age" scope:"cluster" change:"live"`

	// Name is what the names of scheduled snapshots begin with.
	Name string `yaml:"name" flag:"snapshot-name" alias:"etcd-snapshot-name" scope:"cluster" change:"live"`

	// Dir is the directory that holds the snapshots; server/snapshots below dataDir when empty.
	Dir string `yaml:"dir" flag:"snapshot-dir" alias:"etcd-snapshot-dir" scope:"node" change:"restart"`

	// Compress has them compressed with zstd.
	Compress bool `yaml:"compress" flag:"snapshot-compress" alias:"etcd-snapshot-compress" scope:"cluster" change:"live"`

	// EveryServer has each server make them, and not only the one that leads.
	EveryServer bool `yaml:"everyServer" flag:"snapshot-every-server" scope:"cluster" change:"restart"`
}

// S3 is an object store to which snapshots are copied; with a bucket they are.
type S3 struct {
	// Bucket holds the copies. It has to exist.
	Bucket string `yaml:"bucket" flag:"s3-bucket" alias:"etcd-s3-bucket" scope:"cluster" change:"restart"`

	// Folder is what their names begin with in the bucket.
	Folder string `yaml:"folder" flag:"s3-folder" alias:"etcd-s3-folder" scope:"cluster" change:"restart"`

	// Endpoint is the store's host, with a port if need be; http:// before it goes without TLS.
	Endpoint string `yaml:"endpoint" flag:"s3-endpoint" alias:"etcd-s3-endpoint" scope:"cluster" change:"restart"`

	// Region is the bucket's region.
	Region string `yaml:"region" flag:"s3-region" alias:"etcd-s3-region" scope:"cluster" change:"restart"`

	// AuthFrom names a Secret in kube-system with the keys accessKey and secretKey.
	AuthFrom string `yaml:"authFrom" flag:"s3-auth-from" alias:"etcd-s3-config-secret" scope:"cluster" change:"restart"`

	// CredentialsFile is a file with the keys, as the AWS tools write it; it is what a restore on a new machine needs.
	CredentialsFile string `yaml:"credentialsFile" flag:"s3-credentials-file" scope:"node" change:"restart"`

	// CAFile is the authority of the store's certificate, where it is none of the machine's.
	CAFile string `yaml:"caFile" flag:"s3-ca-file" alias:"etcd-s3-endpoint-ca" scope:"node" change:"restart"`

	// Proxy is the URL of a proxy on the way to the store.
	Proxy string `yaml:"proxy" flag:"s3-proxy" alias:"etcd-s3-proxy" scope:"cluster" change:"restart"`

	// Retain is how many copies of a server's scheduled snapshots are kept there, 0 for all.
	Retain int `yaml:"retain" flag:"s3-retention" alias:"etcd-s3-retention" scope:"cluster" change:"restart"`

	// Timeout bounds one copy.
	Timeout Duration `yaml:"timeout" flag:"s3-timeout" alias:"etcd-s3-timeout" scope:"cluster" change:"restart"`
}

// Components says which parts run.
type Components struct {
	// Disable names packaged components that are not deployed, and removes what they had deployed: coredns, local-storage, metrics-server, network-policy, runtimes, servicelb.
	Disable []string `yaml:"disable" flag:"disable" scope:"cluster" change:"live"`

	// DisableAgent leaves out the node part: no kubelet, no containers on this server.
	DisableAgent bool `yaml:"disableAgent" flag:"disable-agent" scope:"node" change:"restart"`
}

// Kubeconfig is the administrator's kubeconfig file.
type Kubeconfig struct {
	// Path is where the administrator's kubeconfig is written.
	Path string `yaml:"path" flag:"write-kubeconfig" scope:"node" change:"restart"`

	// Mode is that file's mode in octal.
	Mode FileMode `yaml:"mode" flag:"write-kubeconfig-mode" scope:"node" change:"restart"`
}

// Kubelet is what is set of the kubelet beside its arguments.
type Kubelet struct {
	// ConfigDir is a directory of KubeletConfiguration drop-ins (*.conf), merged by name over kelp's.
	ConfigDir string `yaml:"configDir" flag:"kubelet-config-dir" scope:"node" change:"restart"`

	// ProtectKernelDefaults refuses to start when the kernel's settings differ from what the kubelet wants.
	ProtectKernelDefaults bool `yaml:"protectKernelDefaults" flag:"protect-kernel-defaults" scope:"node" change:"restart"`
}

// Containerd is what is set of the embedded containerd.
type Containerd struct {
	// ConfigDir is a directory of containerd configuration drop-ins (*.toml), merged by name over kelp's.
	ConfigDir string `yaml:"configDir" flag:"containerd-config-dir" scope:"node" change:"restart"`

	// Registries is the file of registry mirrors and credentials.
	Registries string `yaml:"registries" flag:"private-registry" scope:"node" change:"live"`

	// Snapshotter is containerd's snapshotter: overlayfs or native.
	Snapshotter Snapshotter `yaml:"snapshotter" flag:"snapshotter" scope:"node" change:"never"`
}

// Args are further arguments for the components, as name=value or --name=value. In the environment, several are separated by spaces.
type Args struct {
	// APIServer are further arguments for kube-apiserver.
	APIServer []string `yaml:"apiserver" flag:"kube-apiserver-arg" scope:"node" change:"restart" commas:"keep"`

	// ControllerManager are further arguments for kube-controller-manager.
	ControllerManager []string `yaml:"controllerManager" flag:"kube-controller-manager-arg" scope:"node" change:"restart" commas:"keep"`

	// Scheduler are further arguments for kube-scheduler.
	Scheduler []string `yaml:"scheduler" flag:"kube-scheduler-arg" scope:"node" change:"restart" commas:"keep"`

	// Kubelet are further arguments for the kubelet.
	Kubelet []string `yaml:"kubelet" flag:"kubelet-arg" scope:"node" change:"restart" commas:"keep"`

	// Proxy are further arguments for kube-proxy.
	Proxy []string `yaml:"proxy" flag:"kube-proxy-arg" scope:"node" change:"restart" commas:"keep"`

	// Etcd are further arguments for the embedded etcd.
	Etcd []string `yaml:"etcd" flag:"etcd-arg" scope:"node" change:"restart" commas:"keep"`
}
