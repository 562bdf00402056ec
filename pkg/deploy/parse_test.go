package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	for name, tc := range map[string]struct {
		text string
		want []string // "document:line Kind name"
		err  string
	}{
		"one":                              {text: object, want: []string{"1:1 ConfigMap a"}},
		"JSON":                             {text: "{\n\"apiVersion\":\"v1\",\n\t\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"}}", want: []string{"1:1 Secret s"}},
		"many, with comments and nothing":  {text: "# a comment\n---\n---\n# more\n\n" + object + "--- # again\n" + object + "---\n", want: []string{"1:6 ConfigMap a", "2:10 ConfigMap a"}},
		"separators of Windows":            {text: strings.ReplaceAll(object+"---\n"+object, "\n", "\r\n"), want: []string{"1:1 ConfigMap a", "2:5 ConfigMap a"}},
		"a byte order mark":                {text: "\xef\xbb\xbf" + object, want: []string{"1:1 ConfigMap a"}},
		"a list":                           {text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: p}}\n- {apiVersion: v1, kind: Pod}\n", want: []string{"1:1 Pod p"}, err: "f.yaml: document 1, line 1: item 2: Pod has no metadata.name"},
		"dashes in a text":                 {text: object + "data:\n  x: |\n    a\n    ---\n    b\n", want: []string{"1:1 ConfigMap a"}},
		"nothing":                          {text: "# only a comment\n"},
		"a syntax error says its own line": {text: object + "---\napiVersion: v1\nkind: [\n", want: []string{"1:1 ConfigMap a"}, err: "f.yaml: document 2, line 5: yaml: line 6: did not find expected node content"},
		"a key twice":                      {text: object + "kind: Secret\n", err: "f.yaml: document 1, line 1: yaml: unmarshal errors:   line 4: key \"kind\" already set in map"},
		"no kind":                          {text: "apiVersion: v1\nmetadata: {name: a}\n", err: "f.yaml: document 1, line 1: kind is missing"},
		"no apiVersion":                    {text: "\n\nkind: Pod\nmetadata: {name: a}\n", err: "f.yaml: document 1, line 3: apiVersion is missing"},
		"a generated name":                 {text: "apiVersion: v1\nkind: Job\nmetadata: {generateName: a-}\n", err: "f.yaml: document 1, line 1: Job has generateName: each time it is applied would make another one; give it a name"},
		"no object":                        {text: "just text\n", err: "f.yaml: document 1, line 1: is not an object with apiVersion, kind and metadata"},
		"a name that YAML takes for true":  {text: "apiVersion: v1\nkind: Pod\nmetadata: {name: y}\n", err: "f.yaml: document 1, line 1: Pod's metadata.name is not a text: put it in quotes"},
		"bytes that are no text":           {text: "\xff\xfe", err: "f.yaml: is not UTF-8 text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, err := Parse("f.yaml", []byte(tc.text))
			var got []string
			for _, d := range docs {
				got = append(got, fmt.Sprintf("%d:%d %s %s", d.Number, d.Line, d.Object.GetKind(), d.Object.GetName()))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if said := fmt.Sprint(err); err == nil && tc.err != "" || err != nil && said != tc.err {
				t.Errorf("error:\n got %v\nwant %s", err, tc.err)
			}
		})
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"b.yaml", "a/c.yml", "a/d.JSON", "a/d.JSON.skip", "notes.txt", ".b.yaml.swp", ".git/x.yaml", "b.yaml~"} {
		write(name, "x")
	}
	if err := os.Symlink("../outside", filepath.Join(dir, "dangling.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b.yaml", filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	files, err := scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, fmt.Sprintf("%s skipped=%v err=%v", f.Path, f.Skipped, f.Err))
	}
	want := []string{"a/c.yml skipped=false err=<nil>", "a/d.JSON skipped=true err=<nil>", "b.yaml skipped=false err=<nil>", "link.yaml skipped=false err=<nil>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if files[0].Hash == "" || files[0].Hash != files[2].Hash {
		t.Errorf("hashes of equal files: %q, %q", files[0].Hash, files[2].Hash)
	}
	if files, err := scan(filepath.Join(dir, "missing")); err != nil || len(files) > 0 {
		t.Errorf("a directory that is not there: %v, %v", files, err)
	}
}

// Names of Addons are valid, and different files have different ones.
func TestAddonName(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, path := range []string{
		"coredns.yaml", "coredns.yml", "coredns.json", "apps/web.yaml", "apps.web.yaml", "apps_web.yaml", "Apps/web.yaml", "ünïcode.yaml",
		strings.Repeat("x", 300) + ".yaml", strings.Repeat("x", 301) + ".yaml", "_.yaml", "a/../b.yaml",
	} {
		name := addonName(path)
		if other, taken := seen[name]; taken {
			t.Errorf("%q and %q are both %q", path, other, name)
		}
		seen[name] = path
		if len(name) > 253 || !validName.MatchString(name) {
			t.Errorf("%q becomes %q", path, name)
		}
	}
	if addonName("coredns.yaml") != "coredns" || addonName("apps/web.yaml") != "apps.web-"+addonName("apps/web.yaml")[9:] {
		t.Errorf("%q, %q", addonName("coredns.yaml"), addonName("apps/web.yaml"))
	}
}
