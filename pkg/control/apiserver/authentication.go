package apiserver

import (
	"fmt"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/config"
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

func authenticationYAML() ([]byte, error) {
	text, err := yaml.Marshal(Authentication())
	if err != nil {
		return nil, fmt.Errorf("write AuthenticationConfiguration: %w", err)
	}
	return text, nil
}
