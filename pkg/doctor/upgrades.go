package doctor

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// UpgradeState is how far an upgrade of the cluster is.
type UpgradeState struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Phase   string `json:"phase"`
	Message string `json:"message,omitempty"`
}

func (u UpgradeState) line() string {
	state := strings.ToLower(orElse(u.Phase, "pending"))
	if u.Message != "" {
		state += ": " + oneLine(u.Message)
	}
	return fmt.Sprintf("%s: of the cluster to %s, %s", u.Name, u.Version, state)
}

// lastUpgrade is the newest.
func lastUpgrade(all []unstructured.Unstructured) (last UpgradeState) {
	var newest time.Time
	for _, u := range all {
		if at := u.GetCreationTimestamp().Time; last.Name == "" || at.After(newest) {
			newest = at
			last = UpgradeState{u.GetName(), field(u, "spec", "version"), field(u, "status", "phase"), field(u, "status", "message")}
		}
	}
	return last
}
