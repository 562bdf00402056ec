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

// setupLog makes logrus's standard logger, to which containerd's log and all
// of kelp write, write to out as the configuration asks.
func setupLog(cfg config.Log, debug bool, out io.Writer) {
	logger := logrus.StandardLogger()
	logger.SetOutput(out)
	logger.SetLevel(level(cfg.Level))
	if debug {
		logger.SetLevel(logrus.DebugLevel)
	}
	if cfg.Format == config.LogJSON {
		logger.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano, FieldMap: logrus.FieldMap{logrus.FieldKeyTime: "time"}})
		return
	}
	logger.SetFormatter(people{})
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
