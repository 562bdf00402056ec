package containerd

import (
	"context"
	"strings"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// quiet raises the level of ctx's logger to warn, unless somebody debugs, and
// drops warnings that say nothing.
func quiet(ctx context.Context) context.Context {
	entry := log.G(ctx)
	if entry.Logger.IsLevelEnabled(logrus.DebugLevel) {
		return ctx
	}
	logger := &logrus.Logger{
		Out: entry.Logger.Out, Hooks: entry.Logger.Hooks, Formatter: telling{entry.Logger.Formatter},
		Level: min(entry.Logger.GetLevel(), logrus.WarnLevel), ExitFunc: entry.Logger.ExitFunc,
	}
	return log.WithLogger(ctx, logger.WithFields(entry.Data))
}

// harmless are warnings that every start would log, by how they begin and end.
var harmless = []struct{ start, end string }{
	// Most file systems have none, and nobody has asked for it.
	{"failed check for fsverity support", ""},
	// Packaged images are unpacked in the background, or when a pod wants one.
	{"The image ", " is not unpacked."},
	// There is no CNI configuration before the node's first pod CIDR.
	{"failed to load cni during init", ""},
}

// telling is a formatter that makes nothing of what is harmless.
type telling struct{ logrus.Formatter }

// Format is logrus's.
func (f telling) Format(e *logrus.Entry) ([]byte, error) {
	for _, h := range harmless {
		if strings.HasPrefix(e.Message, h.start) && strings.HasSuffix(e.Message, h.end) {
			return nil, nil
		}
	}
	return f.Formatter.Format(e)
}
