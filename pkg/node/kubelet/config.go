package kubelet

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
)

// Inputs is what the kubelet needs beside kelp's configuration.
type Inputs struct {
	// Serving is the certificate of the kubelet's port.
	Serving pki.Files
	// ClientCA is the authority of those who may ask the kubelet.
	ClientCA string
	// Kubeconfig is how the kubelet reaches the API server.
	Kubeconfig string
	// ResolvConf is the file from which pods get the host's resolvers.
	ResolvConf string
	// CgroupDriver is how containerd makes cgroups, systemd or cgroupfs. The kubelet
	// would take it from there in any case.
	CgroupDriver string
	// OOMScoreAdj is the process's score where it may not be lowered.
	OOMScoreAdj *int32
	// MaxOpenFiles is the limit of open files where it may not be raised.
	MaxOpenFiles int64
	// WriteResolvConf is set on a host without a resolver that pods could
	// reach: Run writes ResolvConf with the node's own address in it. Where
	// nothing listens there, a question fails at once instead of timing out.
	WriteResolvConf bool
}

// maxParallelPulls bounds the pulls at one time: enough that a slow image
// does not hold up the others, few enough for a small disk.
const maxParallelPulls = 5

// cipherSuites are those of the API server: of TLS 1.2, what has no CBC and no key
// exchange that a stolen key could undo. Go's own list has some with CBC.
var cipherSuites = []string{
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}

// defaultOpenFiles is upstream's, to which 0 is defaulted.
const defaultOpenFiles = 1_000_000

// Configuration is the kubelet's configuration as kelp computes it, before
// drop-ins. What is not set has upstream's default.
func Configuration(cfg config.Config, in Inputs) *kubeletv1beta1.KubeletConfiguration {
	p := cfg.Paths()
	return &kubeletv1beta1.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: kubeletv1beta1.SchemeGroupVersion.String(),
			Kind:       "KubeletConfiguration",
		},

		Authentication: kubeletv1beta1.KubeletAuthentication{
			Anonymous: kubeletv1beta1.KubeletAnonymousAuthentication{Enabled: ptr.To(false)},
			Webhook:   kubeletv1beta1.KubeletWebhookAuthentication{Enabled: ptr.To(true)},
			X509:      kubeletv1beta1.KubeletX509Authentication{ClientCAFile: in.ClientCA},
		},
		Authorization:                  kubeletv1beta1.KubeletAuthorization{Mode: kubeletv1beta1.KubeletAuthorizationModeWebhook},
		TLSCertFile:                    in.Serving.Cert,
		TLSPrivateKeyFile:              in.Serving.Key,
		TLSMinVersion:                  "VersionTLS12",
		TLSCipherSuites:                cipherSuites,
		ReadOnlyPort:                   0,
		Address:                        address(cfg.Node.IPs),
		HealthzBindAddress:             "127.0.0.1",
		HealthzPort:                    ptr.To[int32](healthzPort),
		StreamingConnectionIdleTimeout: metav1.Duration{Duration: 4 * time.Hour},
		ProtectKernelDefaults:          cfg.Kubelet.ProtectKernelDefaults,
		SeccompDefault:                 ptr.To(true),
		EnableProfilingHandler:         ptr.To(cfg.Debug),

		ClusterDomain:  cfg.Network.ClusterDomain,
		ClusterDNS:     texts(cfg.Network.ClusterDNS),
		ResolverConfig: ptr.To(in.ResolvConf),

		ContainerRuntimeEndpoint: "unix://" + p.ContainerdSocket,
		StaticPodPath:            p.StaticPods,
		VolumePluginDir:          filepath.Join(p.KubeletRoot, "volumeplugins"), // upstream's is under /usr
		SerializeImagePulls:      ptr.To(false),
		MaxParallelImagePulls:    ptr.To[int32](maxParallelPulls),

		CgroupDriver: in.CgroupDriver,
		OOMScoreAdj:  in.OOMScoreAdj,
		MaxOpenFiles: min(in.MaxOpenFiles, defaultOpenFiles),

		FailCgroupV1: ptr.To(false),
		// Swap on the host stops nothing; pods do not get any (NoSwap).
		FailSwapOn: ptr.To(false),
		// Upstream keeps 10 and 15 % free, which on a small disk is all there
		// is. Image garbage collection begins long before, at 85 % used.
		EvictionHard: map[string]string{
			"memory.available":   "100Mi",
			"nodefs.available":   "5%",
			"nodefs.inodesFree":  "5%",
			"imagefs.available":  "5%",
			"imagefs.inodesFree": "5%",
		},
	}
}

// address binds the wildcard of the node's first family; "::" serves both.
func address(ips []netip.Addr) string {
	for _, ip := range ips {
		if ip.Is6() {
			return "::"
		}
	}
	return "0.0.0.0"
}

func texts[T interface{ String() string }](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.String()
	}
	return out
}

// resolvConf is a resolv.conf with the node's own addresses.
func resolvConf(ips []netip.Addr) []byte {
	var b bytes.Buffer
	b.WriteString("# Written by kelp: the host has no resolver that pods can reach.\n")
	for _, ip := range ips {
		fmt.Fprintf(&b, "nameserver %s\n", ip)
	}
	return b.Bytes()
}
