//go:build e2e

package tests

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kelp-project/kelp/tests/hosts"
)

const (
	agentTokenFile = dataDir + "/server/agent-token"
	joined         = 60 * time.Second // a node with its images, on a machine that does other things, too
)

// agentConfig is the whole configuration of an agent.
func agentConfig(s *server, token string) string {
	return fmt.Sprintf("server: https://%s:6443\ntoken: %s\n", s.Address, token)
}

// agentToken is the one that a server makes at its first start.
func (s *server) agentToken(t *testing.T) string { return s.run(t, "cat "+agentTokenFile) }

// awaitNode waits until a node is ready.
func (s *server) awaitNode(t *testing.T, name string, limit time.Duration) *corev1.Node {
	t.Helper()
	var node *corev1.Node
	hosts.Eventually(t, limit, "node "+name+" is ready", func(ctx context.Context) (err error) {
		if node, err = s.client(t).CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}); err == nil {
			err = nodeReady(node)
		}
		return err
	})
	return node
}

// awaitLog waits until kelp has logged a text on the host.
func (s *server) awaitLog(t *testing.T, limit time.Duration, text string) {
	t.Helper()
	hosts.Eventually(t, limit, "kelp says: "+text, func(ctx context.Context) error {
		out, err := s.Run(ctx, "journalctl", "--unit=kelp", "--no-pager", "--output=cat")
		if err == nil && !strings.Contains(out, text) {
			return errors.New("it has not said so")
		}
		return err
	})
}

// pinned is a pod with the application's page on one node, and a Service of
// the same name in front of it.
const pinned = `
apiVersion: v1
kind: Pod
metadata: {name: on-%[1]s, namespace: %[2]s, labels: {host: %[1]s}}
spec:
  nodeName: %[1]s
  terminationGracePeriodSeconds: 1
  tolerations: [{operator: Exists}]
  containers:
  - {name: web, image: ` + webImage + `, imagePullPolicy: Never, readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {name: on-%[1]s, namespace: %[2]s}
spec:
  selector: {host: %[1]s}
  ports: [{port: 80, targetPort: 8080}]
`

// connected has a pod on each of the hosts, and every pod and every host reach
// every one of them by address, through its Service and by its name.
func connected(t *testing.T, s *server, namespace string, all ...*server) {
	t.Helper()
	var pods []*corev1.Pod
	for _, h := range all {
		s.apply(t, fmt.Sprintf(pinned, h.Name, namespace))
	}
	for _, h := range all {
		pods = append(pods, s.awaitPod(t, namespace, "host="+h.Name, podUp))
	}
	s.awaitDeployments(t, "kube-system", 3, ready)
	for i, to := range all {
		service := s.kubectl(t, "-n", namespace, "get", "service", "on-"+to.Name, "-o", "jsonpath={.spec.clusterIP}")
		direct, through := "http://"+pods[i].Status.PodIP+":8080/", "http://"+service+"/"
		for _, from := range all {
			awaitPage(t, soon, from.Dial, direct)
			awaitPage(t, soon, from.Dial, through)
			for _, url := range []string{direct, through, "http://on-" + to.Name + "." + namespace + "/"} {
				hosts.Eventually(t, 2*soon, "a pod on "+from.Name+" gets "+url, func(ctx context.Context) error {
					out, err := s.Kubectl(ctx, "-n", namespace, "exec", "on-"+from.Name, "--", "web", "get", url)
					if err == nil && !strings.HasPrefix(out, "hello from on-"+to.Name) {
						return fmt.Errorf("got %q", out)
					}
					return err
				})
			}
		}
	}
}

// haveMTU has the pods of connected have interfaces with that MTU.
func haveMTU(t *testing.T, s *server, namespace, want string, all ...*server) {
	t.Helper()
	for _, h := range all {
		if got := s.kubectl(t, "-n", namespace, "exec", "on-"+h.Name, "--", "cat", "/sys/class/net/eth0/mtu"); got != want {
			t.Errorf("the pod on %s has an MTU of %s, want %s", h.Name, got, want)
		}
	}
}

// An agent that is started first waits for its server, joins, takes pods, and
// goes on by itself while the server is away, also through its own restart.
func TestAgent(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-both-were-given"
	hub := ownServer(t, specNamed("hub"), "token: "+secret+"\n")
	leaf := ownHost(t, specNamed("leaf"), "agent", agentConfig(hub, secret))

	leaf.run(t, "systemctl start --no-block kelp")
	leaf.awaitLog(t, soon, "waiting for a server")
	hub.start(t)
	node := hub.awaitNode(t, "leaf", joined)
	if role, has := node.Labels["node-role.kubernetes.io/control-plane"]; has {
		t.Errorf("the agent has the control plane's label %q", role)
	}
	namespace := hub.namespace(t, "agents")
	connected(t, hub, namespace, hub, leaf)
	haveMTU(t, hub, namespace, "1450", hub, leaf) // a VXLAN header less than the hosts' 1500

	if out := hub.kubectl(t, "-n", namespace, "logs", "on-leaf"); out == "" {
		t.Error("the log of a pod on the agent is empty")
	}
	hosts.Eventually(t, podUp, "the agent's figures are there", func(ctx context.Context) error {
		_, err := hub.Kubectl(ctx, "top", "node", "leaf")
		return err
	})
	t.Run("keeps no secret of the server", func(t *testing.T) {
		out := leaf.run(t, `find /var/lib/kelp /etc/kelp -xdev -name '*-ca.key' -o -xdev -name 'service*key' -o -xdev -name 'admin*'`)
		if out != "" {
			t.Errorf("the agent has %s", out)
		}
		leaf.run(t, `test -z "$(find /var/lib/kelp -name '*.key' -perm /077)"`)
	})
	t.Run("tells no key to those outside", func(t *testing.T) { tellsNoKey(t, hub, leaf, hub.agentToken(t)) })
	t.Run("opens no port to strangers", func(t *testing.T) {
		for _, port := range []int{6443, 6444, 10248, 10249, 10256} {
			if conn, err := hub.Dial(t.Context(), "tcp", fmt.Sprintf("%s:%d", leaf.Address, port)); err == nil && port != 10256 {
				_ = conn.Close() // that it opened is the finding
				t.Errorf("port %d of the agent is open to other machines", port)
			}
		}
	})
	t.Run("takes its configuration while it runs, and tells how it is", func(t *testing.T) {
		leaf.write(t, configFile, agentConfig(hub, secret)+"node-label: [example.test/live=leaf]\n")
		hosts.Eventually(t, soon, "the label is there", func(ctx context.Context) error {
			out, err := hub.Kubectl(ctx, "get", "node", "leaf", "-o", `jsonpath={.metadata.labels.example\.test/live}`)
			if err == nil && out != "leaf" {
				err = fmt.Errorf("it is %q", out)
			}
			return err
		})
		if out := hub.kubectl(t, "get", "--raw", "/v1-kelp/nodes/leaf/metrics"); !strings.Contains(out, "kelp_tunnel_connections 1") || strings.Contains(out, "kelp_snapshots") {
			t.Errorf("it tells\n%s", out)
		}
		if out := hub.kubectl(t, "get", "--raw", "/v1-kelp/nodes/leaf/readyz/kubelet"); out != "ok" {
			t.Errorf("its kubelet is %s", out)
		}
	})
	t.Run("network policies", func(t *testing.T) { policies(t, hub, leaf, namespace) })
	t.Run("is reached where it cannot be dialled", func(t *testing.T) { throughTheTunnel(t, hub, leaf, namespace) })
	t.Run("is looked at by the doctor", func(t *testing.T) {
		hub.awaitDiagnosis(t, soon, "good", "network: 2 addresses of other nodes and of their pods answer")
		leaf.awaitDiagnosis(t, soon, "good", "api: https://127.0.0.1:6444 answers")
		leaf.awaitDiagnosis(t, soon, "good", "nodes: 1 of 1 are ready")
		leaf.run(t, "nft 'add table inet vxlan; add chain inet vxlan in { type filter hook input priority -300; }; add rule inet vxlan in udp dport 8472 drop'")
		hub.awaitDiagnosis(t, soon, "problem", "network: node leaf is reached, and its pods are not, at 10.42.1.0:10250", "packets of pods are dropped between the nodes", "let them through: 8472/udp between nodes", "ip -d link show flannel.1")
		leaf.run(t, "nft delete table inet vxlan")
		hub.awaitNoProblem(t, soon, "network")
		leaf.stopKelp(t)
		hub.awaitDiagnosis(t, soon, "problem", "nodes: the API server does not reach the kubelet of leaf", "on leaf: kelp status")
		leaf.start(t)
		hub.awaitNoProblem(t, 3*soon, "nodes")
	})
	t.Run("goes on without the server", func(t *testing.T) {
		pod := hub.awaitPod(t, namespace, "host=leaf", soon)
		hub.stopKelp(t)
		leaf.stopKelp(t)
		leaf.run(t, "systemctl start --no-block kelp")
		leaf.awaitLog(t, 2*soon, "goes on with what it knows")
		leaf.awaitDiagnosis(t, soon, "problem", "api: https://127.0.0.1:6444 does not answer", "no server of the cluster answers", "kelp doctor, on a server")
		awaitPage(t, soon, leaf.Dial, "http://"+pod.Status.PodIP+":8080/")
		hub.start(t)
		hub.awaitNode(t, "leaf", joined)
		again := hub.awaitPod(t, namespace, "host=leaf", podUp)
		if again.UID != pod.UID || again.Status.ContainerStatuses[0].RestartCount != 0 {
			t.Errorf("the pod was restarted: %v", again.Status.ContainerStatuses)
		}
	})
}

// refusal runs an agent on the host in the foreground until it says why it may
// not join, and returns that.
func refusal(t *testing.T, h *server, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := h.Exec(ctx, "", append([]string{hosts.KelpPath, "agent"}, args...)...)
	if err != nil || r.Code == 0 {
		t.Fatalf("kelp agent %s: status %d, %v, want a refusal\n%s", args, r.Code, err, r.Stderr)
	}
	lines := strings.Split(strings.TrimSpace(r.Stderr), "\n")
	return lines[len(lines)-1]
}

// Only a token that is good lets a machine in, and a name belongs to the
// machine that has it.
func TestTokensAndNames(t *testing.T) {
	t.Parallel()
	hub := ownServer(t, specNamed("tokens"), "")
	hub.start(t)
	guest := ownHost(t, specNamed("guest"), "agent", "")
	kelp := func(args ...string) string { return hub.run(t, hosts.KelpPath+" token "+strings.Join(args, " ")) }
	file := func(token string) string {
		guest.write(t, "/etc/kelp/token", token+"\n")
		return "--token-file=/etc/kelp/token"
	}
	server := "--server=https://" + hub.Address + ":6443"
	good := hub.agentToken(t)

	wrong := good[:len(good)-4] + "AAAA"
	elsewhere := strings.Replace(good, strings.Split(good, ".")[1], strings.Repeat("0", len(strings.Split(good, ".")[1])), 1)
	expired := kelp("create", "--ttl=1s")
	deleted := kelp("create")
	kelp("delete", strings.Split(deleted, ".")[3])
	hosts.Eventually(t, soon, "the token has expired", func(context.Context) error {
		if out := kelp("list"); !strings.Contains(out, "expired") {
			return errors.New(out)
		}
		return nil
	})
	for name, c := range map[string]struct{ token, want string }{
		"wrong secret":    {wrong, "not one of this cluster's"},
		"another cluster": {elsewhere, "is not the one that the token is for"},
		"expired":         {expired, "expired"},
		"deleted":         {deleted, "not one of this cluster's"},
		"no token":        {"kelp1.nonsense", "token"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refusal(t, guest, server, file(c.token)); !containsFold(got, c.want) {
				t.Errorf("refused with %q, want %q in it", got, c.want)
			}
		})
	}
	t.Run("name of another machine", func(t *testing.T) {
		got := refusal(t, guest, server, file(good), "--node-name=tokens")
		if !strings.Contains(got, "belongs to another machine") {
			t.Errorf("refused with %q", got)
		}
	})
	if nodes := hub.kubectl(t, "get", "nodes", "-o", "name"); nodes != "node/tokens" {
		t.Errorf("after the refusals there are %s", nodes)
	}
	// The server's own name is bound to it from its start.
	if bound := hub.kubectl(t, "-n", "kube-system", "get", "secrets", "--field-selector=type=kelp.io/node-binding", "-o", "name"); bound != "secret/kelp-node-tokens" {
		t.Errorf("after the refusals there are %s", bound)
	}
	t.Run("once", func(t *testing.T) {
		once := kelp("create", "--once", "--description=for-the-guest")
		guest.write(t, "/etc/kelp/config.yaml", agentConfig(hub, once))
		guest.start(t)
		hub.awaitNode(t, "guest", joined)
		hub.awaitLog(t, soon, fmt.Sprintf("a machine was answered by=%q path=/v1-kelp/node peer=%s", "agent token "+strings.Split(once, ".")[3], guest.Address))
		second := ownHost(t, specNamed("second"), "agent", "")
		second.write(t, "/etc/kelp/token", once+"\n")
		if got := refusal(t, second, server, "--token-file=/etc/kelp/token"); !strings.Contains(got, "has been used") {
			t.Errorf("refused with %q", got)
		}
		// The machine that it let in needs no token any more.
		guest.stopKelp(t)
		guest.start(t)
	})
	t.Run("rotate", func(t *testing.T) {
		kelp("rotate")
		second := ownHost(t, specNamed("third"), "agent", "")
		second.write(t, "/etc/kelp/token", good+"\n")
		if got := refusal(t, second, server, "--token-file=/etc/kelp/token"); !strings.Contains(got, "not one of this cluster's") {
			t.Errorf("the old token is refused with %q", got)
		}
		second.write(t, "/etc/kelp/config.yaml", agentConfig(hub, hub.agentToken(t)))
		second.start(t)
		hub.awaitNode(t, "third", joined)
	})
}

// Pods on two hosts reach each other over every network backend.
func TestBackendsAcrossHosts(t *testing.T) {
	t.Parallel()
	for backend, name := range map[string]string{"host-gw": "gw", "wireguard-native": "wg"} {
		t.Run(backend, func(t *testing.T) {
			hub := ownServer(t, specNamed(name+"-hub"), "network: {backend: "+backend+"}\n")
			if _, err := hub.StartKelp(t.Context()); err != nil {
				// A kernel without it is told of, and that is all that can be seen there.
				if out := hub.run(t, "journalctl --unit=kelp --no-pager --output=cat"); strings.Contains(out, "wireguard links, for the network between nodes, cannot be made") && !kernelHas(t, hub, "wireguard") {
					return
				}
				t.Fatal(err)
			}
			leaf := ownHost(t, specNamed(name+"-leaf"), "agent", agentConfig(hub, hub.agentToken(t)))
			// Its default route is through an interface that leads to no other node.
			leaf.run(t, "ip link add uplink type veth peer name nowhere; ip link set nowhere up; ip addr add 192.0.2.5/24 dev uplink; ip link set uplink up; ip route replace default via 192.0.2.1")
			leaf.write(t, "/etc/kelp/config.yaml.d/address.yaml", "node: {ips: ["+leaf.Address+"]}\n")
			leaf.start(t)
			if node := hub.awaitNode(t, name+"-leaf", joined); node.Status.Addresses[0].Address != leaf.Address {
				t.Errorf("the node is at %v, want %s", node.Status.Addresses, leaf.Address)
			}
			namespace := hub.namespace(t, "across")
			connected(t, hub, namespace, hub, leaf)
			haveMTU(t, hub, namespace, map[string]string{"host-gw": "1500", "wireguard-native": "1420"}[backend], hub, leaf)
		})
	}
}

// kernelHas says whether links of a type can be made.
func kernelHas(t *testing.T, s *server, link string) bool {
	t.Helper()
	r, err := s.Exec(t.Context(), "", "sh", "-c", "ip link add probe0 type "+link+" && ip link delete probe0")
	if err != nil {
		t.Fatal(err)
	}
	return r.Code == 0
}
