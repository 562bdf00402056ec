package process

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"

	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
)

// sink is where klog's lines, contextual ones included, go into the log.
type sink struct {
	depth  int
	values []any
	name   string
}

var _ logr.CallDepthLogSink = sink{}

// Init is logr's: how many frames logr itself adds.
func (s sink) Init(info logr.RuntimeInfo) {}

// Enabled leaves the choice to klog's own verbosity, unless nobody listens.
func (s sink) Enabled(int) bool { return logrus.IsLevelEnabled(logrus.DebugLevel) }

// Info writes what upstream calls info as debug.
func (s sink) Info(_ int, msg string, keysAndValues ...any) {
	if logrus.IsLevelEnabled(logrus.DebugLevel) {
		s.entry(keysAndValues).Debug(strings.TrimSuffix(msg, "\n"))
	}
}

// Error writes an error, or debug if it is known to say nothing of use.
func (s sink) Error(err error, msg string, keysAndValues ...any) {
	entry := s.entry(keysAndValues)
	if err != nil {
		entry = entry.WithError(err)
	}
	at := logrus.WarnLevel
	if harmless(msg, err) {
		at = logrus.DebugLevel
	}
	entry.Log(at, strings.TrimSuffix(msg, "\n"))
}

// WithValues is logr's.
func (s sink) WithValues(keysAndValues ...any) logr.LogSink {
	s.values = append(s.values[:len(s.values):len(s.values)], keysAndValues...)
	return s
}

// WithName is logr's.
func (s sink) WithName(name string) logr.LogSink { s.name = name; return s }

// WithCallDepth is logr's.
func (s sink) WithCallDepth(depth int) logr.LogSink { s.depth += depth; return s }

func (s sink) entry(keysAndValues []any) *logrus.Entry {
	fields := logrus.Fields{"component": caller()}
	all := append(s.values[:len(s.values):len(s.values)], keysAndValues...)
	for i := 0; i+1 < len(all); i += 2 {
		key := fmt.Sprint(all[i])
		if key == "err" {
			key = "error"
		}
		fields[key] = text(all[i+1])
	}
	return logrus.WithFields(fields)
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

// components tells by the path of the package that logs, as the most telling
// frame of the stack, which component it belongs to. The first match counts.
var components = []struct{ path, component string }{
	{"k8s.io/kubernetes/pkg/kubelet", "kubelet"},
	{"k8s.io/kubernetes/cmd/kubelet", "kubelet"},
	{"k8s.io/kubernetes/pkg/proxy", "proxy"},
	{"k8s.io/kubernetes/cmd/kube-proxy", "proxy"},
	{"k8s.io/kubernetes/pkg/scheduler", "scheduler"},
	{"k8s.io/kubernetes/cmd/kube-scheduler", "scheduler"},
	{"k8s.io/kubernetes/pkg/controller", "controller-manager"},
	{"k8s.io/kubernetes/cmd/kube-controller-manager", "controller-manager"},
	{"k8s.io/controller-manager", "controller-manager"},
	{"k8s.io/kubernetes/pkg/controlplane", "apiserver"},
	{"k8s.io/kubernetes/cmd/kube-apiserver", "apiserver"},
	{"k8s.io/kubernetes/pkg/registry", "apiserver"},
	{"k8s.io/apiserver", "apiserver"},
	{"k8s.io/kube-aggregator", "apiserver"},
	{"k8s.io/apiextensions-apiserver", "apiserver"},
	{"github.com/flannel-io/flannel", "network"},
	{"github.com/kelp-project/kelp/pkg/deploy", "deploy"},
	{"github.com/kelp-project/kelp/pkg/servicelb", "servicelb"},
}

// caller names the component whose code logs, "kubernetes" if none can be
// told from the stack.
func caller() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		frame, more := frames.Next()
		for _, c := range components {
			if strings.HasPrefix(frame.Function, c.path) {
				return c.component
			}
		}
		if !more {
			return "kubernetes"
		}
	}
}

// chatter are errors of upstream that come up in every start or stop, need no
// action of anybody, and would hide the one that does.
var chatter = []*regexp.Regexp{
	regexp.MustCompile(`context canceled`),
	regexp.MustCompile(`Unable to authenticate the request`), // audited by the API server, and anybody can cause it
	regexp.MustCompile(`the object has been modified; please apply your changes to the latest version`),
	regexp.MustCompile(`forbidden: .*RBAC: .*not found`), // until the bootstrap roles exist
	regexp.MustCompile(`http2: stream closed`),
}

func harmless(msg string, err error) bool {
	if err != nil {
		msg += ": " + err.Error()
	}
	for _, c := range chatter {
		if c.MatchString(msg) {
			return true
		}
	}
	return false
}
