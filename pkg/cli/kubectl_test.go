package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDefaultKubeconfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig.yaml")
	if err := os.WriteFile(path, []byte("apiVersion: v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ env, path, want string }{
		"nothing is named":            {"", path, path},
		"the user's stays":            {"/home/me/config", path, "/home/me/config"},
		"there was never a server":    {"", path + ".missing", ""},
		"the user's list of two, too": {"/a:/b", path, "/a:/b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.env)
			if err := defaultKubeconfig(tt.path); err != nil {
				t.Fatal(err)
			}
			if got := os.Getenv("KUBECONFIG"); got != tt.want {
				t.Fatalf("KUBECONFIG is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSetDefaultsKeepsWhatIsSet(t *testing.T) {
	t.Setenv("KELP_TEST_SET", "mine")
	t.Setenv("KELP_TEST_EMPTY", "")
	if err := setDefaults(map[string]string{"KELP_TEST_SET": "kelp's", "KELP_TEST_EMPTY": "kelp's"}); err != nil {
		t.Fatal(err)
	}
	if set, empty := os.Getenv("KELP_TEST_SET"), os.Getenv("KELP_TEST_EMPTY"); set != "mine" || empty != "kelp's" {
		t.Fatalf("got %q and %q", set, empty)
	}
}
