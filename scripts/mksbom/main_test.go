package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The bill of this very test's program has what is linked in, once, and what was
// added by hand.
func TestBillOfAProgram(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(&out, []string{"-name=kelp", "-version=v1", "-add=pkg:deb/debian/busybox-static@1.35.0-4%2Bb1?arch=amd64", self, self}); err != nil {
		t.Fatal(err)
	}
	var b bill
	if err := json.Unmarshal(out.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || b.Metadata.Component.Ref != "kelp@v1" {
		t.Errorf("the bill is of %+v", b.Metadata)
	}
	seen := map[string]int{}
	for _, c := range b.Components {
		seen[c.Name]++
		if c.Name == "debian/busybox-static" && c.Version != "1.35.0-4+b1" {
			t.Errorf("%+v", c)
		}
		if c.Name == "std" && (!strings.HasPrefix(c.Version, "1.") || len(c.Properties) != 1) {
			t.Errorf("%+v", c)
		}
	}
	if seen["std"] != 1 || seen["debian/busybox-static"] != 1 || len(b.Dependencies[0].DependsOn) != len(b.Components) {
		t.Errorf("components %v", seen)
	}
}

func TestBillRefuses(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"is no package URL":    {"-name=a", "-add=busybox", "/bin/sh"},
		"-name and at least":   {"-name=a"},
		"read what is in /bin": {"-name=a", "/bin/sh"},
	} {
		if err := run(&bytes.Buffer{}, args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
