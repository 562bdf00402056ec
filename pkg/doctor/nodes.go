package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	versions "k8s.io/apimachinery/pkg/util/version"

	"github.com/kelp-project/kelp/pkg/join"
)

// nodes is problem 2: nodes are not ready.
func nodes(e Evidence) []Answer {
	var list []Answer
	ready := 0
	for i := range e.Cluster.Nodes {
		of := node(e, &e.Cluster.Nodes[i])
		if !slices.ContainsFunc(of, func(a Answer) bool { return a.Level == Problem }) {
			ready++
		}
		list = append(list, of...)
	}
	if len(e.Cluster.Nodes) == 0 && e.Cluster.Errs["nodes"] == "" {
		return []Answer{problem(aboutNodes, "the cluster has no node: no pod can run", "every server has --disable-agent, and no agent has joined", "kelp token create, and kelp agent on another machine")}
	}
	if ready == len(e.Cluster.Nodes) && ready > 0 {
		list = append(list, good(aboutNodes, "%d of %d are ready", ready, ready))
	}
	return list
}

func condition(n *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// isServer says whether a node has a control plane beside its kubelet.
func isServer(n *corev1.Node) bool {
	_, server := n.Labels[join.ControlPlane]
	return server
}

// pressures are what a node may be short of.
var pressures = []struct {
	kind corev1.NodeConditionType
	of   string
	next string
}{
	{corev1.NodeDiskPressure, "room on its disk", "df -h; kelp crictl rmi --prune"},
	{corev1.NodeMemoryPressure, "memory", "kelp kubectl top pods -A --sort-by=memory"},
	{corev1.NodePIDPressure, "process numbers", "ps -eLf | wc -l"},
}

func node(e Evidence, n *corev1.Node) []Answer {
	var list []Answer
	c := condition(n, corev1.NodeReady)
	switch {
	case c == nil:
		list = append(list, problem(aboutNodes, n.Name+" is not ready", "its kubelet has not said anything yet", "on "+n.Name+": kelp doctor"))
	case c.Status == corev1.ConditionUnknown:
		list = append(list, silent(e, n, c))
	case c.Status == corev1.ConditionFalse:
		list = append(list, notReady(e, n, c))
	}
	for _, p := range pressures {
		if c := condition(n, p.kind); c != nil && c.Status == corev1.ConditionTrue {
			list = append(list, problem(aboutNodes, fmt.Sprintf("%s is short of %s: pods are evicted from it, and it takes no others", n.Name, p.of), c.Message, "on "+n.Name+": "+p.next))
		}
	}
	if n.Spec.Unschedulable {
		list = append(list, warning(aboutNodes, n.Name+" takes no new pods", "somebody has cordoned it", "kelp kubectl uncordon "+n.Name))
	}
	if why := e.Cluster.Tunnels[n.Name]; why != "" && (c == nil || c.Status == corev1.ConditionTrue) {
		list = append(list, problem(aboutNodes, "the API server does not reach the kubelet of "+n.Name+": logs, exec and metrics of its pods fail", why, "on "+n.Name+": kelp status, and its component tunnel", logOf(e, "egress")))
	}
	return append(list, skew(e, n)...)
}

// silent is a node whose kubelet has said nothing for 40 seconds.
func silent(e Evidence, n *corev1.Node, c *corev1.NodeCondition) Answer {
	text := fmt.Sprintf("%s is not ready: its kubelet has said nothing for %s", n.Name, short(e.Now.Sub(c.LastHeartbeatTime.Time)))
	next := []string{"on " + n.Name + ": kelp doctor"}
	if n.Name == e.Config.Node.Name {
		if e.Status == nil {
			return problem(aboutNodes, text, "kelp "+silence(e)+" on it, which is this machine", "see kelp, above")
		}
		return problem(aboutNodes, text, componentsOf(e, "kubelet", "containerd"), logOf(e, "kubelet"))
	}
	for _, r := range e.Reach {
		if r.Node == n.Name && !r.Pods {
			if r.Err == "" {
				return problem(aboutNodes, text, "the machine takes connections on its kubelet's port: its kubelet hangs, or cannot write to the API, for a firewall, its clock or its certificate", next...)
			}
			if refused(r.Err) {
				return problem(aboutNodes, text, "the machine is up, and kelp does not run on it", "on "+n.Name+": systemctl start "+unitOf(isServer(n))+"; kelp doctor")
			}
			return problem(aboutNodes, text, "the machine is off, or the network to "+r.Address+" is cut: "+r.Err, append([]string{"ping " + host(r.Address)}, next...)...)
		}
	}
	return problem(aboutNodes, text, "the machine is off, kelp does not run on it, or the network is cut", next...)
}

func refused(err string) bool { return strings.Contains(err, "refused") }

func host(address string) string {
	if i := strings.LastIndexByte(address, ':'); i > 0 {
		return strings.Trim(address[:i], "[]")
	}
	return address
}

// notReady is a node whose kubelet says so itself.
func notReady(e Evidence, n *corev1.Node, c *corev1.NodeCondition) Answer {
	log := "journalctl -u " + unitOf(isServer(n)) + " -n 50"
	if n.Name == e.Config.Node.Name {
		log = journal(e)
	}
	next := []string{"on " + n.Name + ": kelp status", "on " + n.Name + ": " + log}
	cause := c.Message
	switch {
	case strings.Contains(c.Message, "cni") || strings.Contains(c.Message, "network"):
		cause = "the network of pods is not there: " + c.Message
		next = append(next, "with --network=none: install your CNI plugin")
	case strings.Contains(c.Message, "container runtime"), strings.Contains(c.Message, "PLEG"):
		cause = "containerd does not answer: " + c.Message
		next = append(next, "on "+n.Name+": kelp crictl info")
	}
	return problem(aboutNodes, n.Name+" is not ready: its kubelet says so", cause, next...)
}

// componentsOf tells of components of this machine that are not ready.
func componentsOf(e Evidence, names ...string) string {
	for _, c := range e.Status.Components {
		if slices.Contains(names, c.Name) && !c.OK() {
			return fmt.Sprintf("%s is %s: %s", c.Name, c.State, c.LastError)
		}
	}
	return "its kubelet runs, and cannot write to the API"
}

// skew is about kubelets that are newer than the API server, or too old for it.
func skew(e Evidence, n *corev1.Node) []Answer {
	if e.Status == nil || !e.Server {
		return nil
	}
	ours, err := versions.ParseGeneric(e.Status.Version)
	theirs, otherErr := versions.ParseGeneric(n.Status.NodeInfo.KubeletVersion)
	if err != nil || otherErr != nil {
		return nil // one that was built without a version
	}
	switch {
	case theirs.Minor() > ours.Minor():
		return []Answer{problem(aboutNodes, fmt.Sprintf("%s has %s, which is newer than this server's %s", n.Name, n.Status.NodeInfo.KubeletVersion, e.Status.Version), "servers are to be upgraded first", "upgrade this server")}
	case ours.Minor()-theirs.Minor() > 3:
		return []Answer{problem(aboutNodes, fmt.Sprintf("%s has %s, which is too old for %s", n.Name, n.Status.NodeInfo.KubeletVersion, e.Status.Version), "a kubelet may be three minor versions behind", "upgrade "+n.Name)}
	}
	return nil
}

// network is about packets between this node and the others.
func network(e Evidence) []Answer {
	var list []Answer
	direct := map[string]bool{}
	reached := 0
	for _, r := range e.Reach {
		if r.Err == "" || refused(r.Err) {
			reached++
			direct[r.Node] = direct[r.Node] || !r.Pods
		}
	}
	for _, r := range e.Reach {
		switch {
		case r.Err == "" || refused(r.Err):
		case !r.Pods && tunnelled(e, r.Node):
			list = append(list, warning(aboutNetwork, fmt.Sprintf("node %s cannot be reached at %s; the API server reaches it through its tunnel", r.Node, r.Address), r.Err, "nothing, if it is behind a firewall on purpose"))
		case !r.Pods:
			list = append(list, problem(aboutNetwork, fmt.Sprintf("node %s cannot be reached at %s", r.Node, r.Address), r.Err, "ping "+host(r.Address), "see firewalls on both: 10250/tcp between nodes"))
		case direct[r.Node] || tunnelled(e, r.Node):
			list = append(list, problem(aboutNetwork, fmt.Sprintf("node %s is reached, and its pods are not, at %s", r.Node, r.Address), "packets of pods are dropped between the nodes: "+r.Err, "let them through: "+carrier(e), "ip route; ip -d link show flannel.1"))
		}
	}
	if len(list) == 0 && reached > 0 {
		list = append(list, good(aboutNetwork, "%d addresses of other nodes and of their pods answer", reached))
	}
	return list
}

// tunnelled says that the API server reaches a node's kubelet, whoever can dial it.
func tunnelled(e Evidence, node string) bool {
	why, asked := e.Cluster.Tunnels[node]
	return asked && why == ""
}

// carrier is what carries packets of pods between nodes.
func carrier(e Evidence) string {
	switch e.Config.Network.Backend {
	case "vxlan":
		return "8472/udp between nodes"
	case "wireguard-native":
		return "51820/udp between nodes"
	}
	return "packets of the ranges of pods, which routers between nodes have to know"
}

const (
	// slowDNS is an answer for which programs wait noticeably.
	slowDNS = time.Second
	// dnsStarting is how long CoreDNS may take to be ready for the first time, on
	// a slow machine.
	dnsStarting = 30 * time.Second
)

// dnsAnswers are about the cluster's DNS.
func dnsAnswers(e Evidence) []Answer {
	c := e.Cluster
	if e.DNS.Server == "" || c.Errs["deployments"] != "" {
		return nil
	}
	if e.DNS.Err == "" && e.DNS.Took < slowDNS {
		return []Answer{good(aboutDNS, "%s resolves %s in %s", e.DNS.Server, e.DNS.Name, e.DNS.Took.Round(100*time.Microsecond))}
	}
	text := fmt.Sprintf("%s does not resolve %s", e.DNS.Server, e.DNS.Name)
	if e.DNS.Err == "" {
		return []Answer{warning(aboutDNS, fmt.Sprintf("%s took %s to resolve %s", e.DNS.Server, e.DNS.Took.Round(time.Millisecond), e.DNS.Name), "CoreDNS has too little CPU, or waits for servers above it", "kelp kubectl -n kube-system logs deploy/coredns")}
	}
	if d, found := coreDNS(c); found && d.Status.Replicas > 0 && d.Status.AvailableReplicas == 0 {
		if age := e.Now.Sub(d.CreationTimestamp.Time); age < dnsStarting {
			return []Answer{warning(aboutDNS, text, "CoreDNS is new: it was deployed "+short(age)+" ago, and starts", "kelp kubectl -n kube-system rollout status deploy/coredns")}
		}
	}
	cause, next := dnsCause(e)
	return []Answer{problem(aboutDNS, text, cause, next...)}
}

func coreDNS(c Cluster) (d appsv1.Deployment, found bool) {
	i := slices.IndexFunc(c.Deployments, func(d appsv1.Deployment) bool { return d.Namespace == "kube-system" && d.Name == "coredns" })
	if i < 0 {
		return d, false
	}
	return c.Deployments[i], true
}

func dnsCause(e Evidence) (cause string, next []string) {
	c := e.Cluster
	const logs = "kelp kubectl -n kube-system logs deploy/coredns"
	d, found := coreDNS(c)
	endpoints := 0
	for _, s := range c.DNSSlices {
		for _, p := range s.Endpoints {
			if p.Conditions.Ready == nil || *p.Conditions.Ready {
				endpoints++
			}
		}
	}
	switch {
	case c.DNS == nil:
		return "there is no Service kube-dns in kube-system", []string{restartServer(e) + ", which applies what kelp packages again", "kelp kubectl get addons -A"}
	case found && d.Spec.Replicas != nil && *d.Spec.Replicas == 0:
		return "somebody has scaled CoreDNS to 0", []string{"kelp kubectl -n kube-system scale deploy/coredns --replicas=1"}
	case found && d.Status.AvailableReplicas == 0:
		return "no pod of CoreDNS is ready", []string{"kelp kubectl -n kube-system get pods -l k8s-app=kube-dns", logs}
	case !slices.Contains(c.DNS.Spec.ClusterIPs, e.DNS.Server):
		return fmt.Sprintf("the Service kube-dns has the address %s, and pods are told %s", strings.Join(c.DNS.Spec.ClusterIPs, ", "), e.DNS.Server), []string{"kelp kubectl -n kube-system delete service kube-dns, and restart kelp"}
	case endpoints == 0:
		return "the Service kube-dns selects no pod that is ready", []string{"kelp kubectl -n kube-system get service kube-dns -o jsonpath={.spec.selector}", restartServer(e) + ", which applies what kelp packages again"}
	}
	return "CoreDNS is ready, and its answers do not come back: " + e.DNS.Err, []string{logs, "kelp status, and its components proxy and network"}
}
