package controllermanager

import "github.com/kelp-project/kelp/pkg/args"

// removed are flags that older guides name and that upstream has dropped,
// with the release that dropped them. A test checks that none has come back.
var removed = map[string]args.Removal{
	"address":                                   {Release: "v1.24", Successor: "use bind-address"},
	"deleting-pods-burst":                       {Release: "v1.25", Successor: "use node-eviction-rate"},
	"deleting-pods-qps":                         {Release: "v1.25", Successor: "use node-eviction-rate"},
	"enable-taint-manager":                      {Release: "v1.27", Successor: "taints always evict; tolerations say how long a pod may stay"},
	"experimental-cluster-signing-duration":     {Release: "v1.25", Successor: "use cluster-signing-duration"},
	"horizontal-pod-autoscaler-downscale-delay": {Release: "v1.31", Successor: "use horizontal-pod-autoscaler-downscale-stabilization"},
	"horizontal-pod-autoscaler-upscale-delay":   {Release: "v1.31", Successor: "set behavior.scaleUp in the HorizontalPodAutoscaler"},
	"pod-eviction-timeout":                      {Release: "v1.27", Successor: "set default-not-ready-toleration-seconds and default-unreachable-toleration-seconds for kube-apiserver"},
	"port":                                      {Release: "v1.24", Successor: "use secure-port"},
	"register-retry-count":                      {Release: "v1.25", Successor: "registering is always retried"},
}
