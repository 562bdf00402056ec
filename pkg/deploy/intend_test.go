package deploy

import (
	"errors"
	"testing"
)

func TestWhatCannotBeNotedIsNotMade(t *testing.T) {
	w := newWorld(t)
	w.pass()
	w.write("web.yaml", "ConfigMap/a=1")
	w.m.down = errors.New("the datastore does not answer")
	if !w.pass() {
		t.Error("the file is not tried again")
	}
	w.holds()
	w.m.down = nil
	w.pass()
	w.holds("ConfigMap a=1")
}

func TestObjectsOfAPassThatWasCutShortAreRemembered(t *testing.T) {
	w := newWorld(t)
	w.write("web.yaml", "ConfigMap/kept=1")
	w.pass()
	w.write("web.yaml", "ConfigMap/kept=1", "ConfigMap/added=1")
	w.write("new.yaml", "ConfigMap/new=1")
	w.m.dies = true
	w.pass()
	w.holds("ConfigMap added=1", "ConfigMap kept=1", "ConfigMap new=1")
	w.m.dies = false
	w.restart()
	w.write("web.yaml", "ConfigMap/kept=1")
	w.write("new.yaml")
	w.pass()
	w.holds("ConfigMap kept=1")
}
