package containerd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

func TestQuiet(t *testing.T) {
	t.Parallel()
	for _, level := range []logrus.Level{logrus.WarnLevel, logrus.InfoLevel, logrus.DebugLevel} {
		var out bytes.Buffer
		logger := &logrus.Logger{Out: &out, Formatter: &logrus.TextFormatter{}, Level: level, Hooks: logrus.LevelHooks{}}
		ctx := quiet(log.WithLogger(t.Context(), logger.WithField("component", "containerd")))
		log.G(ctx).Info("loading plugin")
		log.G(ctx).Warn("failed check for fsverity support")
		log.G(ctx).Warn("something is wrong")
		lines := strings.Count(out.String(), "\n")
		if want := map[logrus.Level]int{logrus.WarnLevel: 1, logrus.InfoLevel: 1, logrus.DebugLevel: 3}[level]; lines != want {
			t.Errorf("at level %s %d lines, want %d:\n%s", level, lines, want, out.String())
		}
		if !strings.Contains(out.String(), "something is wrong") || !strings.Contains(out.String(), "component=containerd") {
			t.Errorf("at level %s a warning or its component is lost:\n%s", level, out.String())
		}
	}
}
