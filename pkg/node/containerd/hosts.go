package containerd

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/rancher/wharfie/pkg/registries"
)

// marker is the first line of what is written here. A hosts.toml without it
// is somebody else's and is never removed.
const marker = "# Written by kelp from registries.yaml: change that file instead.\n"

// wildcard names all registries that are not named themselves.
const wildcard = "*"

// HostFiles returns the content of hosts.toml for each directory under
// containerd's config_path. The registries must have passed ParseRegistries.
func HostFiles(reg registries.Registry) (map[string]string, error) {
	files := map[string]string{}
	names := slices.Concat(sortedKeys(reg.Mirrors), sortedKeys(reg.Configs))
	for _, name := range names {
		content, err := hostFile(reg, name)
		if err != nil {
			return nil, fmt.Errorf("registry %s: %w", name, err)
		}
		files[hostDirectory(name)] = content
	}
	return files, nil
}

// hostFile is one registry's hosts.toml: the settings of the registry itself
// first, which containerd tries last, then its mirrors in order.
func hostFile(reg registries.Registry, name string) (string, error) {
	mirror, ok := reg.Mirrors[name]
	if !ok {
		mirror = reg.Mirrors[wildcard]
	}
	var b strings.Builder
	b.WriteString(marker)
	endpoints := make([]*url.URL, 0, len(mirror.Endpoints))
	for _, e := range mirror.Endpoints {
		u, err := parseEndpoint(e)
		if err != nil {
			return "", err
		}
		endpoints = append(endpoints, u)
	}
	// An endpoint that is the registry itself says how to reach it, such as
	// over http; as the last one it need not be tried twice.
	if i := slices.IndexFunc(endpoints, func(u *url.URL) bool { return u.Host == name }); i >= 0 {
		fmt.Fprintf(&b, "server = %s\n", quote(endpoints[i].String()))
		if i == len(endpoints)-1 {
			writeOverride(&b, endpoints[i])
			endpoints = endpoints[:i]
		}
	}
	if err := writeSettings(&b, configOf(reg, name)); err != nil {
		return "", err
	}
	if err := writeHeader(&b, "header", configOf(reg, name)); err != nil {
		return "", err
	}
	for _, u := range endpoints {
		if err := writeEndpoint(&b, reg, u); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func writeEndpoint(b *strings.Builder, reg registries.Registry, u *url.URL) error {
	fmt.Fprintf(b, "\n[host.%s]\ncapabilities = [\"pull\", \"resolve\"]\n", quote(u.String()))
	writeOverride(b, u)
	c := configOf(reg, u.Host)
	if err := writeSettings(b, c); err != nil {
		return err
	}
	return writeHeader(b, "host."+quote(u.String())+".header", c)
}

// writeOverride says that a path in an endpoint stands for /v2 instead of
// being put before it.
func writeOverride(b *strings.Builder, u *url.URL) {
	if strings.Trim(u.Path, "/") != "" {
		b.WriteString("override_path = true\n")
	}
}

func writeSettings(b *strings.Builder, c registries.RegistryConfig) error {
	if c.TLS == nil {
		return nil
	}
	if c.TLS.CAFile != "" {
		fmt.Fprintf(b, "ca = %s\n", quote(c.TLS.CAFile))
	}
	if c.TLS.CertFile != "" {
		fmt.Fprintf(b, "client = [[%s, %s]]\n", quote(c.TLS.CertFile), quote(c.TLS.KeyFile))
	}
	if c.TLS.InsecureSkipVerify {
		b.WriteString("skip_verify = true\n")
	}
	return nil
}

func writeHeader(b *strings.Builder, table string, c registries.RegistryConfig) error {
	value, err := authorization(c.Auth)
	if err != nil || value == "" {
		return err
	}
	fmt.Fprintf(b, "[%s]\nAuthorization = %s\n", table, quote(value))
	return nil
}

// configOf finds the settings of a registry or a mirror's host. Docker Hub
// has three names.
func configOf(reg registries.Registry, host string) registries.RegistryConfig {
	candidates := []string{host, "https://" + host, "http://" + host}
	if host == "docker.io" || host == "registry-1.docker.io" {
		candidates = append(candidates, "docker.io", "registry-1.docker.io", "index.docker.io")
	}
	for _, name := range append(candidates, wildcard) {
		if c, ok := reg.Configs[name]; ok {
			return c
		}
	}
	return registries.RegistryConfig{}
}

// hostDirectory is containerd's name for a registry's directory.
func hostDirectory(name string) string {
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	if name == wildcard {
		return "_default"
	}
	if i := strings.LastIndex(name, ":"); i > 0 {
		return name[:i] + "_" + name[i+1:] + "_"
	}
	return name
}

// quote writes a TOML basic string; JSON's escapes are a subset of TOML's.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return string(b)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
