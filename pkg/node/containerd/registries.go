package containerd

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/rancher/wharfie/pkg/registries"
	"go.yaml.in/yaml/v3"
)

// unknownKey is how the YAML decoder reports a key that no field has.
var unknownKey = regexp.MustCompile(`line (\d+): field (\S+) not found in type \S+`)

// anyLine is how it reports everything else.
var anyLine = regexp.MustCompile(`line (\d+): (.*)`)

// ParseRegistries reads the content of registries.yaml. Its errors, all of
// them, begin with the file's name and the line.
func ParseRegistries(file string, data []byte) (registries.Registry, error) {
	var reg registries.Registry
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&reg); err != nil && !errors.Is(err, io.EOF) {
		return reg, errors.Join(locate(file, err)...)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return reg, fmt.Errorf("%s: %w", file, err)
	}
	return reg, errors.Join(checkRegistries(file, &doc, reg)...)
}

// locate turns the decoder's error into one error per line of the file.
func locate(file string, err error) []error {
	var typed *yaml.TypeError
	messages := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if errors.As(err, &typed) {
		messages = typed.Errors
	}
	var errs []error
	for _, m := range messages {
		if k := unknownKey.FindStringSubmatch(m); k != nil {
			errs = append(errs, fmt.Errorf("%s:%s: unknown key %q", file, k[1], k[2]))
		} else if l := anyLine.FindStringSubmatch(m); l != nil {
			errs = append(errs, fmt.Errorf("%s:%s: %s", file, l[1], l[2]))
		} else {
			errs = append(errs, fmt.Errorf("%s: %s", file, m))
		}
	}
	return errs
}

// checkRegistries finds what reads well but cannot work.
func checkRegistries(file string, doc *yaml.Node, reg registries.Registry) []error {
	var errs []error
	at := func(format string, args []any, path ...string) {
		errs = append(errs, fmt.Errorf("%s:%d: "+format, append([]any{file, line(doc, path)}, args...)...))
	}
	if len(reg.Auths) > 0 {
		at("auths is gone: put credentials under configs.<host>.auth", nil, "auths")
	}
	for _, name := range sortedKeys(reg.Mirrors) {
		m := reg.Mirrors[name]
		if len(m.Rewrites) > 0 {
			at("mirrors.%s: rewrite is not possible with containerd's own registry settings: put the prefix into the endpoint's path", []any{name}, "mirrors", name, "rewrite")
		}
		for i, e := range m.Endpoints {
			if _, err := parseEndpoint(e); err != nil {
				at("mirrors.%s: endpoint %d: %w", []any{name, i + 1, err}, "mirrors", name, "endpoint")
			}
		}
	}
	for _, name := range sortedKeys(reg.Configs) {
		c := reg.Configs[name]
		if _, err := authorization(c.Auth); err != nil {
			at("configs.%s.auth: %w", []any{name, err}, "configs", name, "auth")
		}
		for key, path := range tlsFiles(c.TLS) {
			if _, err := os.Stat(path); path != "" && err != nil {
				at("configs.%s.tls.%s: %w", []any{name, key, err}, "configs", name, "tls", key)
			}
		}
		if c.TLS != nil && (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
			at("configs.%s.tls: cert_file and key_file belong together", []any{name}, "configs", name, "tls")
		}
	}
	return errs
}

// line is where the mapping key at path is, or the nearest one above it.
func line(doc *yaml.Node, path []string) int {
	node, at := doc, 1
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, key := range path {
		i := slices.IndexFunc(node.Content, func(n *yaml.Node) bool { return n.Value == key })
		if node.Kind != yaml.MappingNode || i < 0 || i+1 >= len(node.Content) {
			break
		}
		at, node = node.Content[i].Line, node.Content[i+1]
	}
	return at
}

func tlsFiles(t *registries.TLSConfig) map[string]string {
	if t == nil {
		return nil
	}
	return map[string]string{"ca_file": t.CAFile, "cert_file": t.CertFile, "key_file": t.KeyFile}
}

// parseEndpoint reads a mirror's endpoint; https is meant when no scheme is
// given.
func parseEndpoint(endpoint string) (*url.URL, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("parse %q: %w", endpoint, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not a URL such as https://mirror.example:5000", endpoint)
	}
	if u.User != nil {
		return nil, fmt.Errorf("%q holds credentials: put them under configs.%s.auth", u.Redacted(), u.Host)
	}
	return u, nil
}

// authorization is the value of the Authorization header, "" without
// credentials. containerd sends it to the registry and, when that asks for a
// token, to the token's issuer.
func authorization(a *registries.AuthConfig) (string, error) {
	switch {
	case a == nil:
		return "", nil
	case a.IdentityToken != "":
		return "", errors.New("identity_token is not possible with containerd's own registry settings: use username and password")
	case a.Username != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+a.Password)), nil
	case a.Auth != "":
		if raw, err := base64.StdEncoding.DecodeString(a.Auth); err != nil || !bytes.ContainsRune(raw, ':') {
			return "", errors.New("auth is not the base64 form of user:password")
		}
		return "Basic " + a.Auth, nil
	case a.Password != "":
		return "", errors.New("password without username")
	}
	return "", nil
}
