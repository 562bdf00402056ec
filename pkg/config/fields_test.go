package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFields holds every setting to the rules of the struct's tags.
func TestFields(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	secretive := regexp.MustCompile(`(?i)token|password|passphrase|secret|credential|(^|[a-z])key$`)
	for _, f := range Fields() {
		for _, name := range append([]string{f.Flag}, f.Aliases...) {
			if other, taken := names[name]; taken {
				t.Errorf("flag --%s is both %s and %s", name, f.Path, other)
			}
			names[name] = f.Path
		}
		if !slices.Contains([]string{"node", "cluster"}, f.Scope) {
			t.Errorf("%s: scope %q is neither node nor cluster", f.Path, f.Scope)
		}
		if !slices.Contains([]string{"live", "restart", "never"}, f.Change) {
			t.Errorf("%s: change %q is not live, restart or never", f.Path, f.Change)
		}
		if f.Help == "" || !strings.HasSuffix(f.Help, ".") {
			t.Errorf("%s: help %q is not a sentence; it is the field's doc comment", f.Path, f.Help)
		}
		leaf := f.Path[strings.LastIndex(f.Path, ".")+1:]
		isFile := strings.HasSuffix(leaf, "File") || f.Kind == KindBool
		if secretive.MatchString(leaf) && !f.Secret && !isFile {
			t.Errorf(`%s is named like a secret: tag it secret:"true", or its value will be printed`, f.Path)
		}
		if f.Commas && !f.List {
			t.Errorf(`%s: commas:"keep" is for lists`, f.Path)
		}
	}
	for _, s := range Sections() {
		if s.Help == "" {
			t.Errorf("section %s has no help", s.Path)
		}
	}
}

// TestSecretsAreRedacted fills every secret and looks for it in everything
// that prints a configuration, formatting verbs included.
func TestSecretsAreRedacted(t *testing.T) {
	t.Parallel()
	const canary = "canary-4711"
	c := Default()
	secrets := 0
	for _, f := range Fields() {
		if !f.Secret {
			continue
		}
		secrets++
		v, err := f.parseAll([]string{canary})
		if err != nil {
			t.Fatal(err)
		}
		f.value(&c).Set(v)
	}
	if secrets == 0 {
		t.Fatal("no setting is tagged secret, and the token is one")
	}
	origins := Origins{"token": {File: "c.yaml", Line: 1}}
	asYAML, err := c.YAML(origins)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	nested := struct{ Inner any }{&c}
	printed := map[string]string{
		"YAML": string(asYAML), "JSON": string(asJSON), "rows": fmt.Sprint(c.Rows(origins)),
		"%v": fmt.Sprintf("%v", c), "%+v": fmt.Sprintf("%+v", nested), "%#v": fmt.Sprintf("%#v", c), "%s": (&c).String(),
	}
	c.TokenFile = "/x"
	c.Node.Name = "?"
	if err := c.Validate(origins); err != nil {
		printed["errors"] = err.Error()
	} else {
		t.Error("a token and a token file together are accepted")
	}
	for printer, text := range printed {
		if strings.Contains(text, canary) {
			t.Errorf("%s prints a secret:\n%s", printer, text)
		}
		if printer != "errors" && !strings.Contains(text, redacted) {
			t.Errorf("%s does not say that a secret is set", printer)
		}
	}
}

// TestPrintedIsRead checks that YAML and its reader agree: what is printed
// gives the same configuration when it is read.
func TestPrintedIsRead(t *testing.T) {
	t.Parallel()
	cfg, err := Default().Complete(machine)
	if err != nil {
		t.Fatal(err)
	}
	text, err := cfg.YAML(Origins{"node.name": {Env: "KELP_NODE_NAME"}})
	if err != nil {
		t.Fatal(err)
	}
	got := Default()
	if err := decode("printed.yaml", text, &got, Origins{}); err != nil {
		t.Fatal(err)
	}
	if again := got.String(); again != cfg.String() {
		t.Errorf("printed and read:\n%s\nwant:\n%s", again, cfg)
	}
}

// TestDefaultsAreWhole checks that every enumeration has a value by default,
// for an empty one is not valid.
func TestDefaultsAreWhole(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, f := range Fields() {
		if f.Kind == KindEnum && !f.List && !slices.Contains(f.Values, f.value(&c).String()) {
			t.Errorf("%s: default %q is not one of %v", f.Path, f.value(&c), f.Values)
		}
	}
	completed, err := c.Complete(machine)
	if err != nil {
		t.Fatal(err)
	}
	if err := completed.Validate(nil); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
	if !reflect.DeepEqual(c, Default()) {
		t.Error("Complete changed its receiver")
	}
}

// TestAdvice checks that advice is given only for what is no setting.
func TestAdvice(t *testing.T) {
	t.Parallel()
	flag := regexp.MustCompile(`--([a-z-]+)`)
	for name, text := range advice {
		if f, ok := FieldByFlag(name); ok {
			t.Errorf("there is advice in place of --%s, which is %s", name, f.Path)
		}
		for _, m := range flag.FindAllStringSubmatch(text, -1) {
			if _, ok := FieldByFlag(m[1]); !ok {
				t.Errorf("the advice for %s names --%s, which is no flag", name, m[1])
			}
		}
	}
}
