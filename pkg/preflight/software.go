package preflight

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

// Process is one that runs beside kelp.
type Process struct {
	PID  int
	Name string
}

// Software is what was seen of other software that kelp may not get on with.
type Software struct {
	Processes []Process // those of interest
	UFW       bool      // is enabled
}

// kubernetes are processes of others, by name, with how they are got rid of.
// MicroK8s calls all of its parts kubelite.
var kubernetes = map[string]struct{ product, fix string }{
	"k3s-server": {"k3s", "k3s-killall.sh, then k3s-uninstall.sh"},
	"k3s-agent":  {"k3s", "k3s-killall.sh, then k3s-agent-uninstall.sh"},
	"k3s":        {"k3s", "k3s-killall.sh, then systemctl disable k3s"},
	"rke2":       {"RKE2", "rke2-killall.sh, then systemctl disable rke2-server rke2-agent"},
	"k0s":        {"k0s", "k0s stop, then k0s reset"},
	"kubelite":   {"MicroK8s", "microk8s stop, then snap disable microk8s"},
	"kubelet":    {"a kubelet", "systemctl disable --now kubelet"},
}

const firewalld = "firewalld"

// observeSoftware looks at the processes of this process's network: those in
// containers of their own do no harm.
func observeSoftware(proc, etc string) Software {
	var s Software
	own, _ := os.Readlink(filepath.Join(proc, "self", "ns", "net"))
	names, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "comm"))
	if err != nil {
		return s // impossible: the pattern is constant
	}
	for _, path := range names {
		text, _ := os.ReadFile(path) // it may have ended by now
		name := strings.TrimSpace(string(text))
		if _, known := kubernetes[name]; !known && name != firewalld {
			continue
		}
		dir := filepath.Dir(path)
		if net, err := os.Readlink(filepath.Join(dir, "ns", "net")); err != nil || net != own {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			s.Processes = append(s.Processes, Process{pid, name})
		}
	}
	settings, _ := os.ReadFile(filepath.Join(etc, "ufw", "ufw.conf")) // not installed
	s.UFW = slices.Contains(strings.Fields(string(settings)), "ENABLED=yes")
	return s
}

// answers says whether somebody listens on a socket.
func answers(socket string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// checkSoftware is told of processes that none of kelp's are among: what runs
// in kelp has its name.
func checkSoftware(cfg config.Config, s Software) []Finding {
	const check = "other software"
	var found []Finding
	told := map[string]bool{}
	for _, p := range s.Processes {
		k, known := kubernetes[p.Name]
		if known && !told[k.product] {
			told[k.product] = true
			found = append(found, failure(check, fmt.Sprintf("%s runs here (process %d): two of a kind fight over ports, %s and the network", k.product, p.PID, cfg.Paths().KubeletRoot), k.fix))
		}
	}
	if len(found) == 0 {
		found = append(found, good(check, "no other Kubernetes runs here"))
	}
	return append(found, checkFirewall(cfg, s)...)
}

// checkSocket is of use only while no kelp runs, whose containerd it would be.
func checkSocket(cfg config.Config, taken bool) []Finding {
	if !taken {
		return nil
	}
	socket := cfg.Paths().ContainerdSocket
	return []Finding{failure("other software", "somebody else listens on "+socket+", where kelp's containerd is to be", "see who, with ss -xlp, and stop it")}
}

func checkFirewall(cfg config.Config, s Software) []Finding {
	const check = "firewall"
	ranges := joined(cfg.Network.ClusterCIDRs, cfg.Network.ServiceCIDRs)
	ports := fmt.Sprintf("%d/tcp, 10250/tcp", cfg.API.HTTPSPort)
	if cfg.Network.Backend == config.BackendVXLAN {
		ports += ", 8472/udp"
	}
	const text = " is active, and may drop packets of pods and of other nodes"
	switch {
	case slices.ContainsFunc(s.Processes, func(p Process) bool { return p.Name == firewalld }):
		return []Finding{warning(check, firewalld+text, fmt.Sprintf("trust %s (firewall-cmd --permanent --zone=trusted --add-source=RANGE for each), open %s between nodes, and firewall-cmd --reload; or systemctl disable --now firewalld", ranges, ports))}
	case s.UFW:
		return []Finding{warning(check, "ufw"+text, fmt.Sprintf("allow %s (ufw allow from RANGE to any, and ufw route allow from RANGE) and %s from the other nodes; or ufw disable", ranges, ports))}
	}
	return []Finding{good(check, "neither firewalld nor ufw is active")}
}

func joined(lists ...[]netip.Prefix) string {
	var texts []string
	for _, p := range slices.Concat(lists...) {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, " and ")
}
