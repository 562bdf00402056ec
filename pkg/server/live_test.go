package server

import (
	"testing"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/node"
)

// TestEveryLiveSettingIsApplied has a setting that is called live taken by
// somebody while kelp runs, and nothing else.
func TestEveryLiveSettingIsApplied(t *testing.T) {
	t.Parallel()
	b := &beside{}
	if _, err := Components(testConfig(t), &node.Node{NFTables: true}, newClock(), nil, b); err != nil {
		t.Fatal(err)
	}
	applied := map[string]bool{}
	for _, a := range b.appliers {
		if a.Name == "" || len(a.Settings) == 0 || a.Apply == nil {
			t.Errorf("applier %+v takes nothing", a)
		}
		for _, s := range a.Settings {
			applied[s] = true
		}
	}
	for _, f := range config.Fields() {
		live := f.Change == config.Live
		switch {
		case live && !applied[f.Path]:
			t.Errorf("%s is called live, and nobody takes it while kelp runs: give the role an applier, or tag it restart", f.Path)
		case !live && applied[f.Path]:
			t.Errorf("%s has an applier, and is called %s", f.Path, f.Change)
		}
		delete(applied, f.Path)
	}
	for s := range applied {
		t.Errorf("an applier is for %s, which is no setting", s)
	}
}

// A component that can be disabled is switched by its setting.
func TestASwitchFollowsItsSetting(t *testing.T) {
	t.Parallel()
	cfg, b := testConfig(t), &beside{}
	on := b.switched("servicelb", true, func(c config.Config) bool { return !c.Disabled("servicelb") }, "components.disable")
	cfg.Components.Disable = []string{"servicelb"}
	if err := b.appliers[0].Apply(t.Context(), cfg); err != nil || on.On() {
		t.Errorf("servicelb is disabled, and runs on: %v", err)
	}
	cfg.Components.Disable = nil
	if err := b.appliers[0].Apply(t.Context(), cfg); err != nil || !on.On() {
		t.Errorf("servicelb is enabled, and does not run: %v", err)
	}
}
