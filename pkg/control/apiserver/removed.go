package apiserver

import "github.com/kelp-project/kelp/pkg/args"

// removed are flags that older guides name and that upstream has dropped,
// with the release that dropped them. A test checks that none has come back.
var removed = map[string]args.Removal{
	"address":         {Release: "v1.24", Successor: "the API is served over TLS only; set api.bindAddress"},
	"basic-auth-file": {Release: "v1.19", Successor: "use authentication-config, or client certificates"},
	"cloud-config":    {Release: "v1.33", Successor: "run a cloud controller manager"},
	"cloud-provider":  {Release: "v1.33", Successor: "run a cloud controller manager"},
	"experimental-encryption-provider-config": {Release: "v1.24", Successor: "use encryption-provider-config"},
	"insecure-bind-address":                   {Release: "v1.24", Successor: "the API is served over TLS only; set api.bindAddress"},
	"insecure-port":                           {Release: "v1.24", Successor: "the API is served over TLS only; set api.httpsPort"},
	"kubelet-https":                           {Release: "v1.22", Successor: "kubelets are always reached over TLS"},
	"master-service-namespace":                {Release: "v1.27", Successor: "the API is Service kubernetes in namespace default"},
	"port":                                    {Release: "v1.24", Successor: "the API is served over TLS only; set api.httpsPort"},
	"service-account-api-audiences":           {Release: "v1.25", Successor: "use api-audiences"},
	"target-ram-mb":                           {Release: "v1.24", Successor: "use max-requests-inflight and max-mutating-requests-inflight"},
}
