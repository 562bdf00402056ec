package document

import (
	"errors"
	"testing"
)

type sample struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	MaxPods    int    `json:"maxPods"`
	Lists      []struct {
		Name string            `json:"name"`
		Map  map[string]string `json:"map"`
	} `json:"lists"`
}

const head = "apiVersion: v1\nkind: Sample\n"

func TestDecodeTellsLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		head + "maxPods: 3\n":                                    "",
		head + "maxpod: 3\n":                                     `x.yaml:3: Sample has no field "maxpod"; did you mean maxPods?`,
		head + "lists:\n- name: a\n- nam: b\n":                   `x.yaml:5: Sample has no field "lists[1].nam"; did you mean name?`,
		head + "lists:\n- name: a\n  old: b\n":                   "x.yaml:5: lists[0].old is gone; use name",
		head + "maxPods: many\n":                                 "x.yaml:3: maxPods: a string where int was expected",
		head + "maxPods: 3\n\nmaxPods: 4\n":                      `x.yaml:5: not YAML: key "maxPods" already set in map`,
		head + "zebra: 3\nlists:\n- {name: a, quagga: {b: c}}\n": `x.yaml:3: Sample has no field "zebra"` + "\n" + `x.yaml:5: Sample has no field "lists[0].quagga"`,
	} {
		doc, err := Parse("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		got := errors.Join(doc.Decode(&sample{}, map[string]string{"old": "is gone; use name"})...)
		if (got == nil) != (want == "") || got != nil && got.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", text, got, want)
		}
	}
}

func TestParseTellsTheLineOfWhatIsNoYAML(t *testing.T) {
	t.Parallel()
	if _, err := Parse("x.yaml", []byte(head+"a: 'b\n")); err == nil || err.Error()[:7] != "x.yaml:" {
		t.Errorf("%v", err)
	}
	if doc, err := Parse("x.yaml", nil); err != nil || doc.APIVersion != "" || doc.Errorf("apiVersion", "missing").Error() != "x.yaml:1: missing" {
		t.Errorf("an empty file: %+v, %v", doc, err)
	}
}

func TestFieldsAreFound(t *testing.T) {
	t.Parallel()
	doc, err := Parse("x.yaml", []byte(head+"a: &a\n  b: [1, {c: true}]\nd: *a\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !doc.Has("a.b[1].c") || doc.Has("a.b[2]") || doc.Has("a.c") || doc.Value("d.b[1].c") != true || doc.Value("a.z") != nil {
		t.Error("fields are not found where they are")
	}
	if got := doc.Errorf("a.b[1].z", "x").Error(); got != "x.yaml:4: x" {
		t.Errorf("the nearest line above: %s", got)
	}
	if doc.Kind != "Sample" {
		t.Errorf("kind %q", doc.Kind)
	}
}
