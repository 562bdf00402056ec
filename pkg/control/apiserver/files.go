package apiserver

import (
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	apiserverv1beta1 "k8s.io/apiserver/pkg/apis/apiserver/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// The arguments that name files which kelp writes.
const (
	authenticationArg = "authentication-config"
	egressArg         = "egress-selector-config-file"
)

// AuthenticationFile is where kelp's AuthenticationConfiguration is written.
func AuthenticationFile(p config.Paths) string {
	return filepath.Join(p.RunDir, "apiserver-authentication.yaml")
}

// Authentication lets strangers see whether the API lives and is ready, as
// load balancers must, and nothing else.
func Authentication() *apiserverv1.AuthenticationConfiguration {
	return &apiserverv1.AuthenticationConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: apiserverv1.SchemeGroupVersion.String(),
			Kind:       "AuthenticationConfiguration",
		},
		Anonymous: &apiserverv1.AnonymousAuthConfig{
			Enabled:    true,
			Conditions: []apiserverv1.AnonymousAuthCondition{{Path: "/healthz"}, {Path: "/livez"}, {Path: "/readyz"}},
		},
	}
}

// EgressFile is where kelp's EgressSelectorConfiguration is written.
func EgressFile(p config.Paths) string { return filepath.Join(p.RunDir, "apiserver-egress.yaml") }

// Egress sends what is meant for kubelets, pods and webhooks to kelp, which
// knows which of them are behind a tunnel.
func Egress(p config.Paths) *apiserverv1beta1.EgressSelectorConfiguration {
	return &apiserverv1beta1.EgressSelectorConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: apiserverv1beta1.SchemeGroupVersion.String(),
			Kind:       "EgressSelectorConfiguration",
		},
		EgressSelections: []apiserverv1beta1.EgressSelection{{Name: "cluster", Connection: apiserverv1beta1.Connection{
			ProxyProtocol: apiserverv1beta1.ProtocolHTTPConnect,
			Transport:     &apiserverv1beta1.Transport{UDS: &apiserverv1beta1.UDSTransport{UDSName: p.EgressSocket}},
		}}},
	}
}

// writeFiles writes those of the files that the arguments name.
func writeFiles(p config.Paths, set *args.Set) error {
	for _, f := range []struct {
		arg, path string
		content   any
	}{
		{authenticationArg, AuthenticationFile(p), Authentication()},
		{egressArg, EgressFile(p), Egress(p)},
	} {
		if !gives(set.Render(), f.arg) {
			continue
		}
		text, err := yaml.Marshal(f.content)
		if err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
		if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
			return fmt.Errorf("make directory for %s: %w", f.path, err)
		}
		if _, err := atomicfile.WriteIfChanged(f.path, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
