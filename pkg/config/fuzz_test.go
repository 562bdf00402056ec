package config

import (
	"os"
	"testing"
)

// FuzzLoad feeds arbitrary bytes as a file: nothing may panic, and a
// configuration that passes validation survives being printed and read.
// As a unit test it runs over the corpus and the seeds.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"*.bad.yaml", "*.good.yaml"} {
		for _, path := range corpus(f, pattern, 5) {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	for _, seed := range []string{
		"", "\x00", "\xff\xfe", "a: &a [*a]", "&a {*a: 1}", "? [x]\n: y", "*a", "node: &n\n  name: *n", "!!binary aGk=", "token: !!binary aGk=",
		"node-name: |\n  a\n  b", "{", "[", "- - - -", "debug: !!bool maybe", "<<: {}", "+: 1", "node+: {}", ".: 1", "node.name: a", "\"\": 1",
		"cluster-cidr: [::/0, 0.0.0.0/0]", "service-cidr: ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff8/125", "node-ip: ::ffff:192.0.2.1", "%YAML 9.9\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, origins := Default(), Origins{}
		if decode("fuzz.yaml", text, &cfg, origins) != nil {
			return
		}
		cfg, err := cfg.Complete(machine)
		if err != nil || cfg.Validate(origins) != nil {
			return
		}
		printed, err := cfg.YAML(origins)
		if err != nil {
			t.Fatal(err)
		}
		again := Default()
		if err := decode("printed.yaml", printed, &again, Origins{}); err != nil {
			t.Fatalf("what is printed is refused: %v\n%s", err, printed)
		}
		if again.String() != cfg.String() {
			t.Errorf("printed and read:\n%s\nwant:\n%s", again, cfg)
		}
	})
}
