package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/pki"
)

// askWithin bounds one question to a server.
const askWithin = 5 * time.Second

// others are the nodes that the versions have to fit with.
func (u *Upgrade) others(ctx context.Context) ([]Member, error) {
	if u.members != nil {
		return u.members(ctx)
	}
	if u.Running.Role == "agent" {
		return servers(ctx, u.Config)
	}
	return nodes(ctx, u.Config)
}

// nodes are the other nodes of a server's cluster.
func nodes(ctx context.Context, cfg config.Config) ([]Member, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", pki.KubeconfigOf(cfg.Paths(), pki.Kelp))
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	rest.Timeout = askWithin
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the cluster's nodes, whose versions have to fit: %w; kelp doctor says why", err)
	}
	var members []Member
	for _, n := range list.Items {
		if _, server := n.Labels[join.ControlPlane]; n.Name != cfg.Node.Name {
			members = append(members, Member{Name: n.Name, Server: server, Kubernetes: n.Status.NodeInfo.KubeletVersion})
		}
	}
	return members, nil
}

// servers are an agent's servers that answer. One has to.
func servers(ctx context.Context, cfg config.Config) ([]Member, error) {
	member, err := join.NewMember(cfg)
	if err != nil {
		return nil, err
	}
	addresses, err := member.Servers()
	if err != nil {
		return nil, err
	}
	tls, err := member.TLS()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: askWithin, Transport: &http.Transport{TLSClientConfig: tls}}
	defer client.CloseIdleConnections()
	var found []Member
	var problems []error
	for _, address := range addresses {
		m, err := serverVersion(ctx, client, address)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		found = append(found, m)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no server says which version it has, and an agent may not be newer: %w", errors.Join(problems...))
	}
	return found, nil
}

func serverVersion(ctx context.Context, client *http.Client, address string) (Member, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/version", nil)
	if err != nil {
		return Member{}, fmt.Errorf("ask server %s: %w", address, err)
	}
	res, err := client.Do(req)
	if err != nil {
		return Member{}, fmt.Errorf("ask server %s: %w", address, err)
	}
	defer res.Body.Close()
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, maxText)).Decode(&info); err != nil || info.GitVersion == "" {
		return Member{}, fmt.Errorf("ask server %s for its version: %s, %w", address, res.Status, err)
	}
	return Member{Name: address, Server: true, Kubernetes: info.GitVersion}, nil
}
