package pages

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "# A page\n" + `
<!-- test: TestThis first -->
` + "```sh\necho one # two\n```" + `

<!-- not run: it takes a disk away -->
` + "```sh\nrm -r /\n```" + `

<!-- test: TestThis second -->

` + "```yaml\na: b\n```\n```\nplain\n```\n"

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse(page)
	want := []Block{
		{Line: 4, Language: "sh", Test: "TestThis", Name: "first", Text: "echo one # two\n"},
		{Line: 9, Language: "sh", NotRun: "it takes a disk away", Text: "rm -r /\n"},
		{Line: 15, Language: "yaml", Text: "a: b\n"}, // the comment is not right above it
		{Line: 18, Text: "plain\n"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := Find(got, "first"); err != nil {
		t.Error(err)
	}
	if b, err := Find(got, "second"); err == nil {
		t.Errorf("found %+v", b)
	}
}

func TestBlocksThatDoNotEnd(t *testing.T) {
	t.Parallel()
	if _, err := Parse("```sh\necho\n"); err == nil || !strings.Contains(err.Error(), "line 1 does not end") {
		t.Errorf("got %v", err)
	}
}
