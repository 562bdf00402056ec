package pki

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// clusterName is what the cluster, user and context are called in a
// kubeconfig, as k3s users know it.
const clusterName = "default"

// ServerURL is the API server as the components on this machine reach it.
func ServerURL(cfg config.Config) string {
	host := "127.0.0.1"
	if b := cfg.API.BindAddress; b.IsValid() && !b.IsUnspecified() {
		host = b.String()
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(int(cfg.API.HTTPSPort)))
}

// kubeconfig renders the kubeconfig of an entry. One that stays on the
// machine names the files, which client-go reads again when they change.
func kubeconfig(cfg config.Config, e Entry, url string) ([]byte, error) {
	ca := AuthorityFiles(cfg.Paths(), ServerCA).Cert
	cluster, user := clientcmdapi.NewCluster(), clientcmdapi.NewAuthInfo()
	cluster.Server = url
	cluster.CertificateAuthority, user.ClientCertificate, user.ClientKey = ca, e.Files.Cert, e.Files.Key
	if e.Embed {
		for _, f := range []struct {
			data *[]byte
			path *string
		}{
			{&cluster.CertificateAuthorityData, &cluster.CertificateAuthority},
			{&user.ClientCertificateData, &user.ClientCertificate},
			{&user.ClientKeyData, &user.ClientKey},
		} {
			text, err := os.ReadFile(*f.path)
			if err != nil {
				return nil, fmt.Errorf("make kubeconfig of %s: %w", e.Name, err)
			}
			*f.data, *f.path = text, ""
		}
	}
	c := clientcmdapi.NewConfig()
	context := clientcmdapi.NewContext()
	context.Cluster, context.AuthInfo = clusterName, clusterName
	c.Clusters[clusterName], c.AuthInfos[clusterName], c.Contexts[clusterName] = cluster, user, context
	c.CurrentContext = clusterName
	text, err := clientcmd.Write(*c)
	if err != nil {
		return nil, fmt.Errorf("make kubeconfig of %s: %w", e.Name, err)
	}
	return text, nil
}

// writeKubeconfigs writes those that changed, side by side.
func writeKubeconfigs(cfg config.Config, table []Entry, url string) error {
	var work errgroup.Group
	for _, e := range table {
		if e.Kubeconfig != "" {
			work.Go(func() error { return writeKubeconfig(cfg, e, url) })
		}
	}
	return work.Wait()
}

func writeKubeconfig(cfg config.Config, e Entry, url string) error {
	text, err := kubeconfig(cfg, e, url)
	if err != nil {
		return err
	}
	mode := os.FileMode(keyMode)
	dir := filepath.Dir(e.Kubeconfig)
	if e.Embed {
		// A directory of the user's, such as /etc/kelp, where others may look
		// at files that are not secret.
		mode = os.FileMode(cfg.Kubeconfig.Mode)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make directory of the kubeconfig: %w", err)
		}
	} else if err := makePrivateDir(dir); err != nil {
		return err
	}
	_, err = atomicfile.WriteIfChanged(e.Kubeconfig, text, mode)
	return err
}
