package servicelb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kelp-project/kelp/pkg/config"
)

// ownPorts are those that every server needs at its nodes' addresses.
func ownPorts(cfg config.Config) map[Port]string {
	const kelp = "kelp"
	return map[Port]string{
		{int32(cfg.API.HTTPSPort), corev1.ProtocolTCP}: kelp + " (the API)",
		{10250, corev1.ProtocolTCP}:                    kelp + " (the kubelet)",
		{8472, corev1.ProtocolUDP}:                     kelp + " (vxlan)",
		{51820, corev1.ProtocolUDP}:                    kelp + " (wireguard)",
		{51821, corev1.ProtocolUDP}:                    kelp + " (wireguard)",
	}
}

// hostPorts adds the host ports of pods: they are sent to the pod before
// anybody listens, so no socket tells of them. Asked for only when there is a
// Service that could collide, from the API server's cache.
func hostPorts(ctx context.Context, client kubernetes.Interface, taken map[Port]string) error {
	pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, c := range pod.Spec.Containers {
			for _, p := range c.Ports {
				if p.HostPort == 0 {
					continue
				}
				port := Port{p.HostPort, corev1.ProtocolTCP}
				if p.Protocol != "" {
					port.Protocol = p.Protocol
				}
				taken[port] = fmt.Sprintf("pod %s/%s", pod.Namespace, pod.Name)
			}
		}
	}
	return nil
}

// sockets are the kernel's lists of sockets, by protocol and by the state in
// which one takes connections: listening, or for UDP unconnected.
var sockets = []struct {
	path     string
	protocol corev1.Protocol
	state    string
}{
	{"/proc/net/tcp", corev1.ProtocolTCP, "0A"}, {"/proc/net/tcp6", corev1.ProtocolTCP, "0A"},
	{"/proc/net/udp", corev1.ProtocolUDP, "07"}, {"/proc/net/udp6", corev1.ProtocolUDP, "07"},
}

// listeners adds the ports on which processes of this machine listen at an
// address that others reach, sshd's above all.
func listeners(taken map[Port]string) {
	for _, s := range sockets {
		text, err := os.ReadFile(s.path)
		if err != nil {
			continue // no IPv6 here
		}
		for _, n := range listening(text, s.state) {
			port := Port{n, s.protocol}
			if _, known := taken[port]; !known {
				taken[port] = "a process of the node"
			}
		}
	}
}

// listening reads the ports of one of the kernel's lists, but for those on
// loopback, which do not collide with a node's address.
func listening(text []byte, state string) []int32 {
	var ports []int32
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		address, number, ok := strings.Cut(fields[1], ":")
		n, err := strconv.ParseUint(number, 16, 16)
		if !ok || err != nil || loopback(address) {
			continue
		}
		ports = append(ports, int32(n))
	}
	return ports
}

// loopback reads an address as the kernel prints it: words in the machine's
// byte order, so that 127.0.0.1 is 0100007F on the machines that kelp is for.
func loopback(address string) bool {
	raw, err := hex.DecodeString(address)
	switch {
	case err != nil:
		return false
	case len(raw) == 4:
		return raw[3] == 127
	case len(raw) == 16 && raw[15] == 127 && address[:24] == "0000000000000000FFFF0000":
		return true
	}
	return address == "00000000000000000000000001000000"
}
