package containerd

import (
	"context"
	"io"
	"strings"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

// quiet raises the level of ctx's logger to warn, unless somebody debugs, and
// drops warnings that say nothing.
func quiet(ctx context.Context) context.Context {
	entry := log.G(ctx)
	logger := &logrus.Logger{
		Out: entry.Logger.Out, Hooks: entry.Logger.Hooks, Formatter: telling{entry.Logger.Formatter},
		Level: quieter(entry.Logger), ExitFunc: entry.Logger.ExitFunc,
	}
	return log.WithLogger(ctx, logger.WithFields(entry.Data))
}

// silent is for reading files, of which all that matters is told otherwise.
func silent(ctx context.Context) context.Context {
	return log.WithLogger(ctx, logrus.NewEntry(&logrus.Logger{Out: io.Discard, Formatter: &logrus.TextFormatter{}, Level: logrus.PanicLevel}))
}

// quieter is the level of containerd's logger beside another one.
func quieter(than *logrus.Logger) logrus.Level {
	if level := than.GetLevel(); level >= logrus.DebugLevel {
		return level
	}
	return min(than.GetLevel(), logrus.WarnLevel)
}

// FollowLevel has what containerd says follow the levels of ctx's logger, and of
// the standard one for what it says outside of any context.
func (c *Containerd) FollowLevel(ctx context.Context) {
	log.L.Logger.SetLevel(quieter(logrus.StandardLogger()))
	if inner := c.logger.Load(); inner != nil {
		inner.SetLevel(quieter(log.G(ctx).Logger))
	}
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
	if e.Logger.IsLevelEnabled(logrus.DebugLevel) {
		return f.Formatter.Format(e)
	}
	for _, h := range harmless {
		if strings.HasPrefix(e.Message, h.start) && strings.HasSuffix(e.Message, h.end) {
			return nil, nil
		}
	}
	return f.Formatter.Format(e)
}
