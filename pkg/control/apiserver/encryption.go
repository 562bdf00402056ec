package apiserver

import (
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/kelp-project/kelp/pkg/config"
)

const encryptionArg = "encryption-provider-config"

// lookForKeys is how often the file with the keys is looked at: it is read, and no
// more if it is as before. Upstream's minute makes a rotation on three servers one
// of minutes.
const lookForKeys = 2 * time.Second

// UsersEncryption says whether the user has an encryption configuration of his
// own, which kelp then stays away from.
func UsersEncryption(cfg config.Config) bool { return gives(cfg.Args.APIServer, encryptionArg) }

// lookForKeysOften is for before the API server runs.
func lookForKeysOften() { controller.EncryptionConfigFileChangePollDuration = lookForKeys }

// LoadedEncryption is the hash of the encryption configuration that the API server
// of this process uses, "sha256:…" in hexadecimal; "" if it has loaded none. Its
// metrics are the only place that tells.
func LoadedEncryption() (string, error) {
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		return "", fmt.Errorf("read the API server's metrics: %w", err)
	}
	for _, f := range families {
		if f.GetName() != "apiserver_encryption_config_controller_last_config_info" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "hash" {
					return l.GetValue(), nil
				}
			}
		}
	}
	return "", nil
}
