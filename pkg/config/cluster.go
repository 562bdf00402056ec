package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// defaultServerPort is a server's port where an address names none.
const defaultServerPort = "6443"

// BalancerPort is where an agent's components reach the API, on loopback: the
// port after the servers', as in k3s.
const BalancerPort = 6444

// ServerAddress reads the address of a server, https://host:port or a part of
// that, and returns it as host:port.
func ServerAddress(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return "", fmt.Errorf("%q is not an address such as https://10.0.0.1:6443", text)
	case u.Scheme != "https":
		return "", fmt.Errorf("%q is not https: a token is sent to that address", text)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil:
		return "", fmt.Errorf("%q has more than a host and a port", text)
	}
	port := u.Port()
	if port == "" {
		port = defaultServerPort
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// ClusterWide returns the settings that the whole cluster shares, by path, as
// text. Secrets are not among them.
func (c Config) ClusterWide() map[string][]string {
	values := map[string][]string{}
	for _, f := range fields {
		if f.Scope == "cluster" && !f.Secret {
			values[f.Path] = f.plain(c)
		}
	}
	return values
}

// WithCluster takes over what the cluster says. A value that was given on this
// machine and is another one is refused, by the place where it was given; a
// setting that this version does not know is left out. What it returns is not
// completed.
func (c Config) WithCluster(values map[string][]string, origins Origins) (Config, error) {
	var problems []error
	for _, f := range fields {
		texts, said := values[f.Path]
		if f.Scope != "cluster" || f.Secret || !said {
			continue
		}
		v, err := f.clusterValue(texts)
		if err != nil {
			problems = append(problems, fmt.Errorf("the cluster's %s: %w", f.Path, err))
			continue
		}
		own := f.value(&c)
		if origin, given := origins[f.Path]; given && !origin.Machine && !slices.Equal(f.plain(c), texts) {
			problems = append(problems, fmt.Errorf("%s is %s, and the cluster's is %s: remove it, for it comes from the cluster",
				origins.where(f.Path), strings.Join(f.plain(c), ","), strings.Join(texts, ",")))
			continue
		}
		own.Set(v)
	}
	return c, errors.Join(problems...)
}

func (f Field) clusterValue(texts []string) (reflect.Value, error) {
	if !f.List && len(texts) == 0 {
		return reflect.Zero(reflect.TypeFor[Config]().FieldByIndex(f.position).Type), nil
	}
	return f.parseAll(texts)
}
