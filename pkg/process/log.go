package process

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/kelp-project/kelp/pkg/config"
)

// level translates the configuration's level to logrus's.
func level(l config.LogLevel) logrus.Level {
	switch l {
	case config.LogDebug:
		return logrus.DebugLevel
	case config.LogWarn:
		return logrus.WarnLevel
	case config.LogError:
		return logrus.ErrorLevel
	}
	return logrus.InfoLevel
}

// setupLog returns the logger of kelp itself, and makes the standard one, to
// which klog and the libraries write, like it, but for its level: what a
// library calls info, kelp's users need only when they debug.
func setupLog(cfg config.Log, debug bool, out io.Writer) *logrus.Logger {
	own, libraries := logrus.New(), logrus.StandardLogger()
	own.SetLevel(level(cfg.Level))
	if debug {
		own.SetLevel(logrus.DebugLevel)
	}
	libraries.SetLevel(own.GetLevel())
	if libraries.GetLevel() == logrus.InfoLevel {
		libraries.SetLevel(logrus.WarnLevel)
	}
	for _, logger := range []*logrus.Logger{own, libraries} {
		logger.SetOutput(out)
		logger.SetFormatter(people{})
		if cfg.Format == config.LogJSON {
			logger.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
		}
	}
	return own
}

// people formats a line for people: time, level if it is not info, component,
// message, and the other fields sorted.
type people struct{}

// Format is logrus's.
func (people) Format(e *logrus.Entry) ([]byte, error) {
	var b strings.Builder
	b.WriteString(e.Time.Format("15:04:05.000 "))
	if e.Level != logrus.InfoLevel {
		fmt.Fprintf(&b, "%-7s ", strings.ToUpper(e.Level.String()))
	}
	if c, ok := e.Data["component"]; ok {
		fmt.Fprintf(&b, "%-18v ", c)
	}
	b.WriteString(strings.TrimRight(e.Message, "\n"))
	for _, key := range slices.Sorted(maps.Keys(e.Data)) {
		if key == "component" {
			continue
		}
		value := fmt.Sprint(e.Data[key])
		if value == "" || strings.ContainsAny(value, " \"\n\t=") {
			value = fmt.Sprintf("%q", value)
		}
		fmt.Fprintf(&b, " %s=%s", key, value)
	}
	b.WriteByte('\n')
	return []byte(b.String()), nil
}
