package process

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
)

// setupKlog sends klog's lines to logrus's standard logger.
func setupKlog() {
	klog.SetLoggerWithOptions(logr.New(sink{}), klog.ContextualLogger(true), klog.WriteKlogBuffer(writeKlog))
}

// klogLevels is what klog's severities, by the letter that a line begins
// with, are in kelp's log.
var klogLevels = map[byte]logrus.Level{
	'I': logrus.DebugLevel,
	'W': logrus.DebugLevel,
	'E': logrus.WarnLevel,
	'F': logrus.ErrorLevel,
}

// writeKlog takes a line that is not structured, with klog's header:
// "E1123 14:03:46.558861     107 reflector.go:166] message". klog's lock is
// held: nothing in here may use klog.
func writeKlog(line []byte) {
	header, msg, ok := strings.Cut(string(line), "] ")
	if !ok || header == "" {
		header, msg = "E", string(line)
	}
	at, known := klogLevels[header[0]]
	if !known {
		at = logrus.WarnLevel
	}
	emit(at, strings.TrimRight(msg, "\n"), nil, nil)
}

// sink is where klog's structured and contextual lines go into the log.
type sink struct{ values []any }

var _ logr.LogSink = sink{}

// Init is logr's.
func (s sink) Init(logr.RuntimeInfo) {}

// Enabled leaves the choice to klog's own verbosity, unless nobody listens. Last
// words may be among what is said at any verbosity.
func (s sink) Enabled(level int) bool {
	return level == 0 || logrus.IsLevelEnabled(logrus.DebugLevel)
}

// Info writes what upstream calls info as debug.
func (s sink) Info(_ int, msg string, keysAndValues ...any) {
	emit(klogLevels['I'], msg, nil, s.with(keysAndValues))
}

// Error writes an error as a warning, or debug if it is known to be none.
func (s sink) Error(err error, msg string, keysAndValues ...any) {
	emit(klogLevels['E'], msg, err, s.with(keysAndValues))
}

// WithValues is logr's.
func (s sink) WithValues(keysAndValues ...any) logr.LogSink {
	return sink{values: s.with(keysAndValues)}
}

// WithName is logr's. The component's name says enough.
func (s sink) WithName(string) logr.LogSink { return s }

// with joins without writing into the array that other loggers share.
func (s sink) with(keysAndValues []any) []any {
	return append(s.values[:len(s.values):len(s.values)], keysAndValues...)
}

// emit writes a line of klog's.
func emit(at logrus.Level, msg string, err error, keysAndValues []any) {
	switch {
	case at == logrus.WarnLevel && expected(msg, err):
		at = logrus.DebugLevel
	case slices.Contains(lastWords, strings.TrimRight(msg, "\n")):
		at = logrus.ErrorLevel
	}
	if !logrus.IsLevelEnabled(at) {
		return
	}
	fields := logrus.Fields{componentKey: caller()}
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		key := fmt.Sprint(keysAndValues[i])
		if key == "err" {
			key = logrus.ErrorKey
		}
		if key != componentKey {
			fields[key] = text(keysAndValues[i+1])
		}
	}
	if err != nil {
		fields[logrus.ErrorKey] = err
	}
	logrus.WithFields(fields).Log(at, strings.TrimRight(msg, "\n"))
}

// text makes a value readable: klog.KObj and the like have a String, and a
// struct's pointer says nothing.
func text(v any) any {
	switch v := v.(type) {
	case string, bool, int, int32, int64, error:
		return v
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprintf("%+v", v)
}
