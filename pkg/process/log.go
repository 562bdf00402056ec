package process

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/log"
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

// setupLog returns the logger of kelp itself, which travels in contexts, and
// makes the standard one, to which klog and the libraries write, like it but
// for its level: what a library calls info, kelp's users need only when they
// debug.
func setupLog(cfg config.Log, debug bool, out io.Writer) *logrus.Logger {
	own, libraries := logrus.New(), logrus.StandardLogger()
	setLevels(own, cfg.Level, debug)
	var form logrus.Formatter = people{}
	if cfg.Format == config.LogJSON {
		form = &logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano}
	}
	own.SetFormatter(form)
	libraries.SetFormatter(named{form})
	own.SetOutput(out)
	libraries.SetOutput(out)
	return own
}

// SetLevel changes the level of the log that ctx carries, and of the libraries'.
func SetLevel(ctx context.Context, l config.LogLevel, debug bool) {
	setLevels(log.G(ctx).Logger, l, debug)
}

func setLevels(own *logrus.Logger, l config.LogLevel, debug bool) {
	at := level(l)
	if debug {
		at = logrus.DebugLevel
	}
	own.SetLevel(at)
	if at == logrus.InfoLevel {
		at = logrus.WarnLevel
	}
	logrus.SetLevel(at)
}

// named adds the component to lines of libraries, which do not know it.
type named struct{ logrus.Formatter }

// Format is logrus's.
func (f named) Format(e *logrus.Entry) ([]byte, error) {
	if _, ok := e.Data[componentKey]; !ok {
		e.Data[componentKey] = caller() // e is logrus's copy, made for this line
	}
	return f.Formatter.Format(e)
}

// people formats a line for people: time, level if it is not info, component,
// message, and the other fields sorted. systemd's journal adds the date.
type people struct{}

// Format is logrus's.
func (people) Format(e *logrus.Entry) ([]byte, error) {
	var b strings.Builder
	b.WriteString(e.Time.Format("15:04:05.000 "))
	if e.Level != logrus.InfoLevel {
		fmt.Fprintf(&b, "%-7s ", strings.ToUpper(e.Level.String()))
	}
	component, ok := e.Data[componentKey]
	if !ok {
		component = "kelp"
	}
	fmt.Fprintf(&b, "%-18v ", component)
	b.WriteString(strings.TrimRight(e.Message, "\n"))
	for _, key := range slices.Sorted(maps.Keys(e.Data)) {
		if key == componentKey {
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
