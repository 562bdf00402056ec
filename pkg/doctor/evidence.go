package doctor

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Evidence is all that was seen, of this machine and of the cluster. What could
// not be seen is empty, with the reason beside it.
type Evidence struct {
	Now    time.Time
	Config config.Config
	Server bool   // this machine has the cluster's keys
	Broken string // why the configuration cannot be read

	Status    *Status // nil when kelp does not answer
	StatusErr string
	Unit      Unit
	Host      []Answer // of the machine itself, from whoever has looked at it

	Certificates    []pki.Status
	CertificatesErr string

	Store   Store
	API     API
	Cluster Cluster
	DNS     DNS
	Reach   []Reach
}

// Unit is the systemd unit that runs kelp.
type Unit struct {
	Name     string // empty where there is none
	Active   string // systemd's ActiveState
	Enabled  bool   // it starts with the machine
	Result   string // of the last run
	Restarts string
	Errors   []string // the last lines in its journal that tell of an error
}

// API is how the API server answered.
type API struct {
	URL    string
	Err    string
	Took   time.Duration // of the answer to /readyz
	Failed []string      // the checks of /readyz that fail
	// Lists is how long the slowest list took.
	Lists time.Duration
}

// Answers says that the API can be asked.
func (a API) Answers() bool { return a.URL != "" && a.Err == "" }

// Store is how the datastore answered.
type Store struct {
	Kind  config.DatastoreKind
	Reads []time.Duration // of reads that every member of a majority has to agree on
	Err   string
	// Members are etcd's.
	Members []voters.Member
	Alarms  []string
	// Fsync is what 99 of 100 writes to the log of this server's member took at
	// most since it started, 0 where it cannot be told.
	Fsync time.Duration
	// Commit is the same for its database, Peers for a message to the slowest
	// other member.
	Commit, Peers time.Duration
	// Elections are how often this member has seen another leader.
	Elections int
	// Leaderless says that this server's member knows no leader.
	Leaderless bool
	// Size is that of the database in bytes.
	Size int64
}

// Cluster is what the API has of the cluster. Of an agent it is what a node may
// see: itself and its pods.
type Cluster struct {
	Nodes       []corev1.Node
	Pods        []corev1.Pod
	Events      []corev1.Event // warnings
	Claims      []corev1.PersistentVolumeClaim
	Classes     []storagev1.StorageClass
	Deployments []appsv1.Deployment
	Leases      []coordinationv1.Lease // in kube-system
	DNS         *corev1.Service        // nil where there is none
	DNSSlices   []discoveryv1.EndpointSlice
	Addons      []unstructured.Unstructured
	Snapshots   []unstructured.Unstructured
	Upgrades    []unstructured.Unstructured
	// Denied are what the control plane's parts may not do and have to, by user.
	Denied map[string][]string
	// Tunnels are why the API server does not reach a node's kubelet, by node;
	// empty where it does.
	Tunnels map[string]string
	// Errs are why a list is empty or short, by what was listed.
	Errs map[string]string
}

// DNS is how the cluster's DNS answered this machine.
type DNS struct {
	Server string // empty when it was not asked
	Name   string
	Err    string
	Took   time.Duration
}

// Reach is how another node was reached from here.
type Reach struct {
	Node    string
	Address string
	Pods    bool // the address is one of the network of pods
	Err     string
}
