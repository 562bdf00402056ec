package images

// The images that are embedded in kelp, by their full reference. The versions
// are those of the modules in scripts/modules, which a test compares. The host
// kelp.local does not exist: such an image is never pulled.
const (
	// Pause holds a pod's namespaces; it has no shell and does nothing.
	Pause = "kelp.local/pause:v1.0.0"
	// CoreDNS answers the cluster's DNS questions.
	CoreDNS = "kelp.local/coredns:v1.15.0"
	// MetricsServer feeds kubectl top and the horizontal pod autoscaler.
	MetricsServer = "kelp.local/metrics-server:v0.9.0"
	// LocalPath makes volumes of the local-path StorageClass.
	LocalPath = "kelp.local/local-path-provisioner:v0.0.30"
	// BusyBox is the shell in which local-path makes and removes directories.
	BusyBox = "kelp.local/busybox:v1.35.0"
)

// Names lists the embedded images in the order of their import: what the first
// pods wait for comes first.
var Names = []string{Pause, CoreDNS, LocalPath, MetricsServer, BusyBox}
