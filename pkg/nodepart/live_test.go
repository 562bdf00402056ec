package nodepart

import (
	"strings"
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/node"
)

// TestEveryMachineTakesWhatIsLive holds agents, which have no other appliers, to
// the settings of a node, and of the cluster's to those that a node goes by.
func TestEveryMachineTakesWhatIsLive(t *testing.T) {
	t.Parallel()
	applied := map[string]bool{}
	for _, a := range Appliers(&node.Node{}) {
		for _, s := range a.Settings {
			applied[s] = true
		}
	}
	for _, f := range config.Fields() {
		if f.Change == config.Live && !strings.HasPrefix(f.Path, "snapshots.") && !applied[f.Path] {
			t.Errorf("%s is called live, and an agent does not take it while it runs", f.Path)
		}
	}
	if list := Appliers(nil); len(list) != 1 || list[0].Settings[0] != "log.level" {
		t.Errorf("without a node %+v", list)
	}
}
