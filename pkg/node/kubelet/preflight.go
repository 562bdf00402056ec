package kubelet

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"k8s.io/component-helpers/node/util/sysctl"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
)

// preflight finds what would make the kubelet end the whole process later on.
func preflight(server *options.KubeletServer) error {
	var errs []error
	errs = append(errs, free(server.Address, server.Port), free(server.HealthzBindAddress, server.HealthzPort))
	if server.ProtectKernelDefaults {
		errs = append(errs, kernelDefaults(readSysctl))
	}
	return errors.Join(errs...)
}

// free says whether the kubelet can listen on a port.
func free(address string, port int32) error {
	if port == 0 {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("kubelet's port: %w", err)
	}
	return l.Close()
}

// logind are what the kubelet holds a shutdown back through.
var logind = []string{"/run/systemd/system", "/run/dbus/system_bus_socket"}

// graceful says why a shutdown would not be graceful that is to be. Upstream logs it
// and goes on.
func graceful(server *options.KubeletServer, exists func(path string) bool) error {
	if server.ShutdownGracePeriod.Duration == 0 && len(server.ShutdownGracePeriodByPodPriority) == 0 {
		return nil
	}
	for _, path := range logind {
		if !exists(path) {
			return fmt.Errorf("shutdownGracePeriod of the kubelet needs systemd's logind and D-Bus, and there is no %s: start dbus, or leave the setting out", path)
		}
	}
	return nil
}

func onHost(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// wanted are the kernel settings that the kubelet insists on, when it may not
// change them itself.
var wanted = map[string]int{
	sysctl.VMOvercommitMemory: sysctl.VMOvercommitMemoryAlways,
	sysctl.VMPanicOnOOM:       sysctl.VMPanicOnOOMInvokeOOMKiller,
	sysctl.KernelPanic:        sysctl.KernelPanicRebootTimeout,
	sysctl.KernelPanicOnOops:  sysctl.KernelPanicOnOopsAlways,
	sysctl.RootMaxKeys:        sysctl.RootMaxKeysSetting,
	sysctl.RootMaxBytes:       sysctl.RootMaxBytesSetting,
}

func kernelDefaults(read func(name string) (int, error)) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		dotted := strings.ReplaceAll(name, "/", ".")
		if got, err := read(name); err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", dotted, err))
		} else if got != wanted[name] {
			errs = append(errs, fmt.Errorf("kernel setting %s is %d and must be %d with protect-kernel-defaults: set it in /etc/sysctl.d", dotted, got, wanted[name]))
		}
	}
	return errors.Join(errs...)
}

func readSysctl(name string) (int, error) {
	text, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

func trimScheme(endpoint string) string { return strings.TrimPrefix(endpoint, "unix://") }
