package process

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"

	"github.com/kelp-project/kelp/pkg/config"
)

// capture sets the log up to write to a buffer. It is global: no t.Parallel.
func capture(t *testing.T, cfg config.Log) (*logrus.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	logger := setupLog(cfg, false, &out)
	t.Cleanup(func() { setupLog(config.Log{Level: config.LogInfo, Format: config.LogText}, false, t.Output()) })
	return logger, &out
}

func TestTextIsForPeople(t *testing.T) {
	logger, out := capture(t, config.Log{Level: config.LogInfo, Format: config.LogText})
	logger.WithField("component", "datastore").WithField("took", "12ms").WithField("path", "a b").Info("ready")
	logger.Debug("hidden")
	logrus.Info("a library's")
	line := out.String()
	if !strings.HasSuffix(line, "datastore          ready path=\"a b\" took=12ms\n") || strings.Contains(line, "INFO") {
		t.Errorf("got %q", line)
	}
}

func TestJSONIsForMachines(t *testing.T) {
	logger, out := capture(t, config.Log{Level: config.LogInfo, Format: config.LogJSON})
	logger.WithField("component", "kubelet").Warn("slow")
	for _, want := range []string{`"component":"kubelet"`, `"level":"warning"`, `"msg":"slow"`, `"time":"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in %s", want, out)
		}
	}
}

func TestKlogInfoIsDebugAndErrorsShow(t *testing.T) {
	_, out := capture(t, config.Log{Level: config.LogInfo, Format: config.LogText})
	l := logr.New(sink{})
	l.Info("Starting controller")
	l.Error(errors.New("context canceled"), "watch ended")
	if out.Len() > 0 {
		t.Errorf("noise: %s", out)
	}
	l.WithValues("pod", "default/web").Error(errors.New("no space left on device"), "Failed to create sandbox\n", "attempt", 2)
	for _, want := range []string{"WARNING", "Failed to create sandbox", `error="no space left on device"`, "pod=default/web", "attempt=2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in %q", want, out)
		}
	}
}

func TestDebugShowsKlogInfo(t *testing.T) {
	_, out := capture(t, config.Log{Level: config.LogDebug, Format: config.LogText})
	logr.New(sink{}).Info("Starting controller", "name", "job")
	if !strings.Contains(out.String(), "DEBUG") || !strings.Contains(out.String(), "name=job") {
		t.Errorf("got %q", out)
	}
}
