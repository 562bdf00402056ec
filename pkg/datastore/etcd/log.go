package etcd

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap/zapcore"
)

// logCore writes etcd's lines to the log of a context. What etcd calls info
// is debug to kelp: fifty lines at each start that say that all is well.
type logCore struct {
	ctx     context.Context
	dir     string // the member's, for the last words
	fields  []zapcore.Field
	removed *atomic.Bool // set by the line that says so: nothing else tells
}

// removedText is what etcd says of a member that others have removed.
const removedText = "permanently removed from the cluster"

// otherCluster is in what etcd says twenty times a second while another server's
// data is of before a restore or a reset. That server finds out, and says so.
const otherCluster = "cluster ID mismatch"

var _ zapcore.Core = (*logCore)(nil)

// Enabled tells whether a line of the level would be written.
func (c *logCore) Enabled(level zapcore.Level) bool {
	return log.G(c.ctx).Logger.IsLevelEnabled(levelOf(level))
}

// With returns a core that adds the fields to each line.
func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	return &logCore{ctx: c.ctx, dir: c.dir, removed: c.removed, fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check adds this core to the entry if its level is enabled.
func (c *logCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write writes one line.
func (c *logCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(encoder)
	}
	text, _ := encoder.Fields["error"].(string)
	if c.removed != nil && strings.Contains(text, removedText) {
		c.removed.Store(true)
	}
	level := levelOf(entry.Level)
	if c.ctx.Err() != nil && (strings.Contains(strings.ToLower(text), "closed") || strings.Contains(text, "server is stopping")) {
		level = logrus.DebugLevel // every stop ends so
	}
	if strings.Contains(entry.Message, otherCluster) {
		level = logrus.DebugLevel
	}
	log.G(c.ctx).WithFields(encoder.Fields).Log(level, entry.Message)
	if entry.Level >= zapcore.PanicLevel {
		// The last words of this process: zap ends it after this.
		log.G(c.ctx).WithField("path", c.dir).Error("etcd cannot go on, and kelp ends: " + remedy(entry.Message+" "+text))
	}
	return nil
}

// Sync does nothing: each line is written at once.
func (c *logCore) Sync() error { return nil }

func levelOf(level zapcore.Level) logrus.Level {
	switch {
	case level <= zapcore.DebugLevel:
		return logrus.TraceLevel
	case level == zapcore.InfoLevel:
		return logrus.DebugLevel
	case level == zapcore.WarnLevel:
		return logrus.WarnLevel
	}
	// Also for fatal: zap ends the process itself, after this line.
	return logrus.ErrorLevel
}
