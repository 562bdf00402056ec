package deploy

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kelp-project/kelp/manifests"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/images"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

// variables are what a packaged manifest may contain as ${NAME}.
func variables(cfg config.Config) map[string]string {
	dns := make([]string, len(cfg.Network.ClusterDNS))
	for i, a := range cfg.Network.ClusterDNS {
		dns[i] = fmt.Sprintf("%q", a.String())
	}
	first, policy := netip.Addr{}, "SingleStack"
	if len(cfg.Network.ClusterDNS) > 0 {
		first = cfg.Network.ClusterDNS[0]
	}
	if len(dns) > 1 {
		policy = "RequireDualStack"
	}
	return map[string]string{
		"CLUSTER_DNS":          fmt.Sprintf("%q", first.String()),
		"CLUSTER_DNS_LIST":     "[" + strings.Join(dns, ", ") + "]",
		"CLUSTER_DOMAIN":       cfg.Network.ClusterDomain,
		"IP_FAMILY_POLICY":     policy,
		"STORAGE_PATH":         cfg.Paths().LocalStorage,
		"IMAGE_COREDNS":        images.CoreDNS,
		"IMAGE_METRICS_SERVER": images.MetricsServer,
		"IMAGE_LOCAL_PATH":     images.LocalPath,
		"IMAGE_BUSYBOX":        images.BusyBox,
	}
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+)\}`)

// expand replaces the variables of a packaged manifest.
func expand(text string, values map[string]string) (string, error) {
	var unknown []string
	text = variable.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		value, ok := values[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return value
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("unknown variables %s", strings.Join(unknown, ", "))
	}
	return text, nil
}

// writePackaged puts the packaged manifests into the directory, as they are
// for this cluster, and removes those that are disabled.
func writePackaged(cfg config.Config) error {
	dir := cfg.Paths().Manifests
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the manifests directory: %w", err)
	}
	entries, err := fs.ReadDir(manifests.FS, ".")
	if err != nil {
		return fmt.Errorf("list packaged manifests: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if cfg.Disabled(strings.TrimSuffix(e.Name(), ".yaml")) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove the manifest of a disabled component: %w", err)
			}
			continue
		}
		if _, err := os.Lstat(path + skipSuffix); err == nil {
			continue // its content is somebody else's now
		}
		text, err := fs.ReadFile(manifests.FS, e.Name())
		if err != nil {
			return fmt.Errorf("read packaged manifest: %w", err)
		}
		expanded, err := expand(string(text), variables(cfg))
		if err != nil {
			return fmt.Errorf("packaged manifest %s: %w", e.Name(), err)
		}
		if _, err := atomicfile.WriteIfChanged(path, []byte(expanded), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// isPackaged says whether a file of the directory is one of kelp's own.
func isPackaged(path string) bool {
	_, err := fs.Stat(manifests.FS, path)
	return err == nil
}
