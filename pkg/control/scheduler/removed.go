package scheduler

import "github.com/kelp-project/kelp/pkg/args"

// removed are flags that older guides name and that upstream has dropped,
// with the release that dropped them. A test checks that none has come back.
var removed = map[string]args.Removal{
	"address":                    {Release: "v1.24", Successor: "use bind-address"},
	"policy-config-file":         {Release: "v1.23", Successor: "use config with a KubeSchedulerConfiguration"},
	"policy-configmap":           {Release: "v1.23", Successor: "use config with a KubeSchedulerConfiguration"},
	"policy-configmap-namespace": {Release: "v1.23", Successor: "use config with a KubeSchedulerConfiguration"},
	"port":                       {Release: "v1.24", Successor: "use secure-port"},
	"use-legacy-policy-config":   {Release: "v1.23", Successor: "use config with a KubeSchedulerConfiguration"},
}
