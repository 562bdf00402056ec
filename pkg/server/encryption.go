package server

import (
	"context"

	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/control/apiserver"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/encryption"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

func newEncryption(cfg config.Config, ds *datastore.Datastore) *encryption.Encryption {
	connect := func() (kubernetes.Interface, error) { return kelpClient(cfg) }
	return encryption.New(encryption.Options{
		Paths: cfg.Paths(), Address: join.AddressOf(cfg), Store: ds.Client, Loaded: apiserver.LoadedEncryption, API: connect,
		Servers: func(ctx context.Context) ([]string, error) {
			client, err := connect()
			if err != nil {
				return nil, err
			}
			return join.Servers(ctx, client)
		},
	})
}

// encrypted is what every server does for Secrets' encryption: the API server
// starts with the keys that the datastore has, and is told when they change.
func encrypted(cfg config.Config, keys *encryption.Encryption) []supervisor.Component {
	if apiserver.UsersEncryption(cfg) {
		const why = "the API server is given an encryption-provider-config"
		return []supervisor.Component{supervisor.Skipped(keysName, why), supervisor.Skipped(encryptionName, why)}
	}
	return []supervisor.Component{
		{Name: keysName, After: []string{certificates, store}, Once: true, Run: keys.Ensure},
		{Name: encryptionName, After: []string{api}, Run: keys.Run, Tell: keys.Tell},
	}
}
