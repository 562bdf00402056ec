package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mksbom:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, args []string) error {
	b := bill{Format: "CycloneDX", Spec: "1.5", Version: 1}
	set := flag.NewFlagSet("mksbom", flag.ContinueOnError)
	set.StringVar(&b.Metadata.Component.Name, "name", "", "what the bill is of")
	set.StringVar(&b.Metadata.Component.Version, "version", "", "its version")
	set.Func("add", "something that Go does not know of, as a package URL", func(purl string) error {
		return b.add(purl, b.Metadata.Component.Name)
	})
	if err := set.Parse(args); err != nil {
		return err
	}
	if b.Metadata.Component.Name == "" || set.NArg() == 0 {
		return errors.New("-name and at least one program are needed")
	}
	for _, program := range set.Args() {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return fmt.Errorf("read what is in %s: %w", program, err)
		}
		if err := b.addAll(info, filepath.Base(program)); err != nil {
			return err
		}
	}
	b.finish()
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

// bill is the part of CycloneDX that is used here.
type bill struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"` // of the bill itself
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"` // the programs that it is in
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// addAll adds the modules that a program is made of, and Go's own library.
func (b *bill) addAll(info *debug.BuildInfo, program string) error {
	modules := append([]*debug.Module{{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}}, info.Deps...)
	if info.Main.Path != "" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		modules = append(modules, &info.Main)
	}
	for _, m := range modules {
		for m.Replace != nil {
			m = m.Replace
		}
		if m.Version == "" {
			continue // a directory of this checkout
		}
		if err := b.add("pkg:golang/"+m.Path+"@"+strings.ReplaceAll(m.Version, "+", "%2B"), program); err != nil {
			return err
		}
	}
	return nil
}

// add adds a component by its package URL, pkg:type/name@version, or notes one
// more program that it is in.
func (b *bill) add(purl, program string) error {
	path, version, ok := strings.Cut(purl, "@")
	_, name, typed := strings.Cut(path, "/")
	if !ok || !typed || !strings.HasPrefix(path, "pkg:") {
		return fmt.Errorf("%q is no package URL", purl)
	}
	version, _, _ = strings.Cut(version, "?")
	in := property{Name: "kelp:program", Value: program}
	i := slices.IndexFunc(b.Components, func(c component) bool { return c.PURL == purl })
	if i >= 0 {
		if !slices.Contains(b.Components[i].Properties, in) {
			b.Components[i].Properties = append(b.Components[i].Properties, in)
		}
		return nil
	}
	b.Components = append(b.Components, component{
		Type: "library", Ref: purl, Name: name, Version: strings.ReplaceAll(version, "%2B", "+"), PURL: purl, Properties: []property{in},
	})
	return nil
}

// finish sorts the components, so that one build always has one bill, and says
// that the whole depends on all of them.
func (b *bill) finish() {
	slices.SortFunc(b.Components, func(x, y component) int { return strings.Compare(x.PURL, y.PURL) })
	top := &b.Metadata.Component
	top.Type, top.Ref = "application", top.Name+"@"+top.Version
	all := dependency{Ref: top.Ref}
	for _, c := range b.Components {
		all.DependsOn = append(all.DependsOn, c.Ref)
	}
	b.Dependencies = []dependency{all}
}
