package kubelet

const ownCerts = "its certificates are kelp's: see kelp certificate"

// ownedFields are the fields of the KubeletConfiguration in which a drop-in may only
// say what kelp says: with anything else the parts of this node would not fit.
var ownedFields = []struct{ field, advice string }{
	{"authentication.x509.clientCAFile", ownCerts},
	{"tlsCertFile", ownCerts},
	{"tlsPrivateKeyFile", ownCerts},
	{"rotateCertificates", "its client certificate is renewed by kelp, and read again without a restart"},
	{"serverTLSBootstrap", "its serving certificate is renewed by kelp, and read again without a restart"},
	{"containerRuntimeEndpoint", "the embedded containerd is used, and configured with containerd.configDir"},
	{"imageServiceEndpoint", "the embedded containerd is used, and configured with containerd.configDir"},
	{"cgroupDriver", "it is containerd's: set SystemdCgroup of the runtime in containerd.configDir"},
	{"logging", "there is one log: set log.level and log.format"},
}

// removedFields are names that people have in their files and that are no
// fields of the kubelet's, or no longer.
var removedFields = map[string]string{
	"metricsBindAddress":     "is a field of kube-proxy; the kubelet's metrics are on its own port",
	"podInfraContainerImage": "is gone; the pause image is embedded",
	"networkPlugin":          "is gone; the container runtime has the network plugins",
	"cniBinDir":              "is gone; plugins in /opt/cni/bin are found",
	"cniConfDir":             "is gone; use --network=none and /etc/cni/net.d",
	"cloudProvider":          "is gone; set the kubelet argument cloud-provider=external",
	"nodeLabels":             "is not a field; set node.labels",
	"hostnameOverride":       "is not a field; set node.name",
	"nodeIP":                 "is not a field; set node.ips",
}
