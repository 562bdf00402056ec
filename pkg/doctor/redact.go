package doctor

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/kelp-project/kelp/pkg/config"
)

// gone is what stands in place of a secret.
const gone = "(redacted)"

// Secrets that are known are taken out of every text as they are. Shorter ones
// would take words out that are none; longer ones are no passwords or keys.
const (
	shortestSecret = 6
	longestSecret  = 64 << 10
)

// redactor takes secrets out of texts: those that are known wherever they stand,
// and what looks like one.
type redactor struct{ known *strings.Replacer }

// newRedactor knows these secrets, in each form in which they may stand in a
// text.
func newRedactor(secrets []string) redactor {
	forms := map[string]bool{}
	add := func(text string) {
		if len(text) >= shortestSecret {
			forms[text] = true
		}
	}
	for _, secret := range secrets {
		if len(secret) > longestSecret {
			continue
		}
		add(base64.StdEncoding.EncodeToString([]byte(secret)))
		if !utf8.ValidString(secret) {
			continue
		}
		add(secret)
		add(url.QueryEscape(secret))
		for _, html := range []bool{true, false} {
			add(quoted(secret, html))
		}
		add(strings.TrimSpace(secret))
		if lines := strings.Split(secret, "\n"); len(lines) > 1 {
			for _, line := range lines {
				if len(line) >= 2*shortestSecret { // a log shows one at a time
					add(strings.TrimSpace(line))
				}
			}
		}
	}
	var pairs []string
	sorted := make([]string, 0, len(forms))
	for form := range forms {
		sorted = append(sorted, form)
	}
	// The longest first: of two at one place, the replacer takes the first.
	slices.SortFunc(sorted, func(a, b string) int { return len(b) - len(a) })
	for _, form := range sorted {
		pairs = append(pairs, form, gone)
	}
	return redactor{strings.NewReplacer(pairs...)}
}

// quoted is a text as it stands in JSON, which may hide what HTML means.
func quoted(text string, html bool) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(html)
	_ = enc.Encode(text) // any text can be
	whole := strings.TrimSpace(out.String())
	return whole[1 : len(whole)-1]
}

// patterns are what looks like a secret, with what takes its place.
var patterns = []struct {
	looks *regexp.Regexp
	with  string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----`), gone},
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*`), gone},
	{regexp.MustCompile(`kelp1\.[0-9a-f]{16,}\.\w+\.\w+\.\S+`), gone},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}`), "$1 " + gone},
	{regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@"'<>]+@`), "$1" + gone + "@"},
	{regexp.MustCompile(`[^\s"'/@:=]+:[^\s"'/@][^\s"'@]*@(tcp|unix)\(`), gone + "@$1("},
}

// named is a value whose name says that it is a secret: password=…, "token": "…".
var named = regexp.MustCompile(`(?i)([a-z0-9_.-]*(?:passw|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[a-z0-9_.-]*)(\\?["']?[ \t]*[:=][ \t]*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"',;&}]+)`)

// harmless are names that end like this: what they are about is elsewhere.
var harmless = []string{"file", "path", "dir", "name", "namespace", "ref", "ttl", "seconds", "version"}

// text is a text without secrets.
func (r redactor) text(text string) string {
	if r.known != nil {
		text = r.known.Replace(text)
	}
	for _, p := range patterns {
		text = p.looks.ReplaceAllString(text, p.with)
	}
	return named.ReplaceAllStringFunc(text, func(match string) string {
		m := named.FindStringSubmatch(match)
		key, value := strings.ToLower(m[1]), strings.Trim(m[3], `"'`)
		if slices.ContainsFunc(harmless, func(end string) bool { return strings.HasSuffix(key, end) }) ||
			slices.Contains([]string{"", "true", "false", "null", "{", "[", "{}", "[]", "0", "1"}, value) {
			return match
		}
		if quote := m[3][:1]; quote == `"` || quote == "'" {
			return m[1] + m[2] + quote + gone + quote
		}
		return m[1] + m[2] + gone
	})
}

var (
	// secretLines are the lines of files of kelp's and of others' that hold a
	// secret each.
	secretLines = regexp.MustCompile(`(?im)^[ \t-]*"?(?:password|auth|token|identity_?token|secret|aws_secret_access_key|aws_access_key_id|aws_session_token)"?[ \t]*[:=][ \t]*["']?([^\s"'#]+)`)
	userinfo    = regexp.MustCompile(`://([^/\s@]+)@|^[^\s/@]*:([^\s@]+)@`)
)

// localSecrets are those on this machine: tokens, the password of an external
// datastore, of registries and of the object store.
func localSecrets(cfg config.Config) []string {
	p := cfg.Paths()
	secrets := []string{cfg.Token}
	for _, file := range []string{p.TokenFile, p.AgentTokenFile, p.NodeSecret, cfg.TokenFile} {
		if text, err := os.ReadFile(file); err == nil {
			secrets = append(secrets, strings.TrimSpace(string(text)))
		}
	}
	for _, token := range slices.Clone(secrets) { // and the secret in it alone
		if parts := strings.SplitN(token, ".", 5); len(parts) == 5 {
			secrets = append(secrets, parts[4])
		}
	}
	for _, file := range []string{p.Encryption, cfg.Containerd.Registries, cfg.S3.CredentialsFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, m := range secretLines.FindAllStringSubmatch(string(text), -1) {
			secrets = append(secrets, m[1])
			if plain, err := base64.StdEncoding.DecodeString(m[1]); err == nil { // user:password
				_, password, _ := strings.Cut(string(plain), ":")
				secrets = append(secrets, password)
			}
		}
	}
	for _, from := range []string{cfg.Datastore.Endpoint, cfg.S3.Proxy} {
		for _, m := range userinfo.FindAllStringSubmatch(from, -1) {
			_, password, _ := strings.Cut(m[1]+m[2], ":")
			plain, _ := url.QueryUnescape(password)
			secrets = append(secrets, m[1], password, plain)
		}
	}
	return secrets
}

// secretsOf are the values of Secrets. Those that are words which stand
// everywhere, as a role or the name of a namespace, are none.
func secretsOf(list []corev1.Secret) []string {
	words := map[string]bool{"server": true, "agent": true, "default": true}
	for _, s := range list {
		words[s.Namespace] = true
	}
	var values []string
	for _, s := range list {
		for _, v := range s.Data {
			if !words[string(v)] {
				values = append(values, string(v))
			}
		}
	}
	return values
}

// prune takes out of an object what is never needed and may hold secrets: the
// values of environments, data, and what kubectl keeps of earlier versions.
func prune(o any) any {
	switch v := o.(type) {
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	case map[string]any:
		delete(v, "managedFields")
		delete(v, "kubectl.kubernetes.io/last-applied-configuration")
		for key, inner := range v {
			switch key {
			case "data", "stringData", "binaryData":
				v[key] = gone
				continue
			case "env":
				hideValues(inner)
			}
			v[key] = prune(v[key])
		}
	}
	return o
}

func hideValues(env any) {
	list, _ := env.([]any)
	for _, e := range list {
		if variable, ok := e.(map[string]any); ok && variable["value"] != nil {
			variable["value"] = gone
		}
	}
}
