package preflight

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/etcd"
)

// port is one that kelp listens on.
type port struct {
	number  uint16
	address netip.Addr // unspecified: all of them
	use     string     // who listens, for people
	fix     string     // the setting that moves it
}

var loopback = netip.MustParseAddr("127.0.0.1")

// moved is where a component's own argument puts a port: the default unless
// the user's arguments have one of the flags, as a number or as host:port.
func moved(number uint16, user []string, flags ...string) uint16 {
	for _, arg := range user {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		for _, flag := range flags {
			if name != flag {
				continue
			}
			value = value[strings.LastIndexByte(value, ':')+1:]
			if n, err := strconv.ParseUint(value, 10, 16); err == nil {
				number = uint16(n)
			}
		}
	}
	return number
}

// nodePorts are those of the node part.
func nodePorts(a config.Args) []port {
	return []port{
		{moved(10250, a.Kubelet, "port"), netip.IPv4Unspecified(), "the kubelet", "set its port in args.kubelet"},
		{moved(10248, a.Kubelet, "healthz-port"), loopback, "the kubelet's health", "set its healthz-port in args.kubelet"},
		{moved(10249, a.Proxy, "metrics-bind-address"), loopback, "kube-proxy's metrics", "set its metrics-bind-address in args.proxy"},
		{moved(10256, a.Proxy, "healthz-bind-address"), loopback, "kube-proxy's health", "set its healthz-bind-address in args.proxy"},
	}
}

// ports lists what kelp will listen on; a port 0 is switched off.
func ports(cfg config.Config, role Role) []port {
	a := cfg.Args
	if role == Agent {
		balancer := port{config.BalancerPort, loopback, "the balancer over servers", ""}
		return append(nodePorts(a), balancer)
	}
	list := []port{
		{cfg.API.HTTPSPort, cfg.API.BindAddress, "the API", "set api.httpsPort"},
		{moved(10257, a.ControllerManager, "secure-port"), loopback, "kube-controller-manager", "set its secure-port in args.controllerManager"},
		{moved(10259, a.Scheduler, "secure-port"), loopback, "kube-scheduler", "set its secure-port in args.scheduler"},
	}
	if datastore.Kind(cfg) == config.DatastoreEtcd {
		everywhere := netip.IPv4Unspecified()
		list = append(list, port{etcd.DefaultClientPort, everywhere, "etcd", ""}, port{etcd.DefaultPeerPort, everywhere, "etcd", ""},
			port{etcd.BalancerPort, loopback, "the balancer over etcd's members", ""})
	}
	if !cfg.Components.DisableAgent {
		list = append(list, nodePorts(a)...)
	}
	return list
}

// Listener is a socket that listens on a TCP port.
type Listener struct {
	Address netip.AddrPort
	Inode   string
	PID     int    // 0 if the process cannot be seen from here
	Command string // the process's name
}

// clashes says whether l keeps p from being bound.
func (l Listener) clashes(p port) bool {
	if l.Address.Port() != p.number {
		return false
	}
	theirs, ours := l.Address.Addr().Unmap(), p.address.Unmap()
	return !ours.IsValid() || ours.IsUnspecified() || theirs.IsUnspecified() || theirs == ours
}

// owner names the process, for people.
func (l Listener) owner() string {
	if l.PID == 0 {
		return "a process that cannot be seen from here"
	}
	return fmt.Sprintf("%s (process %d)", l.Command, l.PID)
}

// checkPorts finds ports that are taken by others than holder, the kelp that
// runs: one finding per process that has taken some.
func checkPorts(wanted []port, listeners []Listener, err error, holder int) []Finding {
	if err != nil {
		return []Finding{warning("ports", "which ports are taken cannot be seen: "+err.Error(), "a port that is taken shows when it is used")}
	}
	var found []Finding
	taken := map[string][]port{}
	var owners []string
	for _, p := range wanted {
		check := fmt.Sprintf("port %d", p.number)
		i := slices.IndexFunc(listeners, func(l Listener) bool { return l.clashes(p) })
		switch {
		case p.number == 0:
		case i < 0:
			found = append(found, good(check, fmt.Sprintf("port %d (%s) is free", p.number, p.use)))
		case holder > 0 && listeners[i].PID == holder:
			found = append(found, good(check, fmt.Sprintf("port %d (%s) is used by the kelp that runs", p.number, p.use)))
		default:
			who := listeners[i].owner()
			if taken[who] == nil {
				owners = append(owners, who)
			}
			taken[who] = append(taken[who], p)
		}
	}
	for _, who := range owners {
		found = append(found, takenBy(who, taken[who]))
	}
	return found
}

func takenBy(who string, by []port) Finding {
	if len(by) == 1 {
		p, fix := by[0], "stop it"
		if p.fix != "" {
			fix += ", or " + p.fix
		}
		return failure(fmt.Sprintf("port %d", p.number), fmt.Sprintf("port %d (%s) is taken by %s", p.number, p.use, who), fix)
	}
	names := make([]string, 0, len(by))
	for _, p := range by {
		names = append(names, fmt.Sprintf("%d (%s)", p.number, p.use))
	}
	return failure("ports", fmt.Sprintf("ports %s are taken by %s", strings.Join(names, ", "), who), "stop it; is it another Kubernetes?")
}
