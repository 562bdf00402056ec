package live

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		until time.Duration
		there bool
		want  step
		left  time.Duration
	}{
		"none":         {time.Hour, false, nothing, 0},
		"under way":    {time.Minute, true, wait, time.Minute},
		"just over":    {0, true, revert, 0},
		"long over":    {-time.Hour, true, revert, 0},
		"none is over": {-time.Hour, false, nothing, 0},
	} {
		if got, left := decide(trial{Until: now.Add(c.until)}, c.there, now); got != c.want || left != c.left {
			t.Errorf("%s: %s, %s left; want %s, %s", name, got, left, c.want, c.left)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTrialIsUndone also when there was no file before, when it was edited since,
// and when the undoing was cut off anywhere.
func TestTrialIsUndone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before string // "-" for no file
		since  func(t *testing.T, x trials)
	}{
		"simple":  {"old", func(*testing.T, trials) {}},
		"no file": {"-", func(*testing.T, trials) {}},
		"edited since": {"old", func(t *testing.T, x trials) {
			if err := os.WriteFile(x.file, []byte("edited"), 0o640); err != nil {
				t.Fatal(err)
			}
		}},
		"removed since": {"old", func(t *testing.T, x trials) {
			if err := os.Remove(x.file); err != nil {
				t.Fatal(err)
			}
		}},
		"cut off before the note was removed": {"old", func(t *testing.T, x trials) {
			note := content(t, x.note())
			found, _, _ := x.read()
			if err := x.undo(found); err != nil {
				t.Fatal(err)
			}
			if err := atomicfile.Write(x.note(), []byte(note), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := trials{filepath.Join(t.TempDir(), "etc", "config.yaml")}
			if c.before != "-" {
				if err := os.MkdirAll(filepath.Dir(x.file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(x.file, []byte(c.before), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			until := time.Now().Add(time.Minute)
			if err := x.replace([]byte("new"), until); err != nil {
				t.Fatal(err)
			}
			if got := content(t, x.file); got != "new" {
				t.Errorf("the file holds %q", got)
			}
			if kept, err := Settle(x.file, until.Add(-time.Second)); kept != "" || err != nil || content(t, x.file) != "new" {
				t.Errorf("undone before its time: %q, %v", kept, err)
			}
			c.since(t, x)
			if _, err := Settle(x.file, until); err != nil {
				t.Fatal(err)
			}
			if got := content(t, x.file); got != c.before {
				t.Errorf("the file holds %q, want %q", got, c.before)
			}
			if info, err := os.Stat(x.file); err == nil && info.Mode().Perm() != 0o640 && name != "removed since" {
				t.Errorf("its mode is %v", info.Mode())
			}
			if _, there, err := x.read(); there || err != nil {
				t.Errorf("it is still on trial: %v", err)
			}
			if kept, err := Settle(x.file, until); kept != "" || err != nil {
				t.Errorf("undone twice: %q, %v", kept, err)
			}
		})
	}
}

// A stop between noting the trial and replacing the file leaves a file that
// becomes what it is.
func TestTrialThatWasOnlyNoted(t *testing.T) {
	t.Parallel()
	x := trials{filepath.Join(t.TempDir(), "config.yaml")}
	if err := os.WriteFile(x.file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	until := time.Now()
	if err := x.replace([]byte("new"), until); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(x.file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Settle(x.file, until); err != nil || content(t, x.file) != "old" || content(t, x.reverted()) != "-" {
		t.Errorf("%v, file %q, reverted %q", err, content(t, x.file), content(t, x.reverted()))
	}
}

func TestReplaceKeepsThePreviousFile(t *testing.T) {
	t.Parallel()
	x := trials{filepath.Join(t.TempDir(), "config.yaml")}
	for _, text := range []string{"one", "two"} {
		if err := Replace(x.file, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if content(t, x.file) != "two" || content(t, x.previous()) != "one" {
		t.Errorf("file %q, previous %q", content(t, x.file), content(t, x.previous()))
	}
	if info, err := os.Stat(x.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file that may hold a token has mode %v, %v", info.Mode(), err)
	}
	if err := x.replace([]byte("three"), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := Replace(x.file, []byte("four")); err == nil || content(t, x.file) != "three" {
		t.Errorf("a file on trial was replaced: %v", err)
	}
	if err := x.confirm(); err != nil {
		t.Fatal(err)
	}
	if kept, err := Settle(x.file, time.Now().Add(2*time.Hour)); kept != "" || err != nil || content(t, x.file) != "three" {
		t.Errorf("what was confirmed was undone: %q, %v", kept, err)
	}
}
