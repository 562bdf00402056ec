package process

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/kelp-project/kelp/pkg/config"
)

// Through klog itself, as upstream calls it. klog is global: no t.Parallel.
func TestKlogsSeverities(t *testing.T) {
	_, out := capture(t, config.Log{Level: config.LogInfo, Format: config.LogText})
	setupKlog()
	t.Cleanup(klog.ClearLogger)
	exited := make(chan int, 1)
	old := klog.OsExit
	klog.OsExit = func(code int) { exited <- code }
	t.Cleanup(func() { klog.OsExit = old })

	klog.Info("informer started")
	klog.InfoS("informer started", "name", "pods")
	klog.Warning("flag is deprecated")
	if out.Len() > 0 {
		t.Errorf("info and warnings of upstream show: %s", out)
	}
	for _, c := range []struct {
		log  func()
		want []string
	}{
		{func() { klog.Errorf("dial %s: %s", "etcd", "no route") }, []string{"WARNING", "dial etcd: no route\n"}},
		{func() { klog.ErrorS(errors.New("no space"), "Create sandbox", "pod", klog.KRef("default", "web")) }, []string{"WARNING", "Create sandbox", `error="no space"`, "pod=default/web"}},
		{func() { klog.Background().WithValues("attempt", 2).Error(nil, "Try again") }, []string{"WARNING", "Try again", "attempt=2"}},
		{func() { klog.InfoS("Node is being deleted", "node", klog.KRef("", "one")) }, []string{"ERROR", "Node is being deleted", "node=one"}},
		{func() { klog.Fatal("lost the lease") }, []string{"ERROR", "lost the lease\n"}},
	} {
		out.Reset()
		c.log()
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is missing in %q", want, out)
			}
		}
	}
	if code := <-exited; code == 0 {
		t.Errorf("klog.Fatal asked for exit status %d", code)
	}
}

func TestDebugShowsWhatIsExpected(t *testing.T) {
	_, out := capture(t, config.Log{Level: config.LogDebug, Format: config.LogText})
	setupKlog()
	t.Cleanup(klog.ClearLogger)
	klog.Warning("flag is deprecated")
	klog.ErrorS(errors.New("context canceled"), "Watch ended")
	for _, want := range []string{"DEBUG", "flag is deprecated", "Watch ended"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, out)
		}
	}
}

func TestExpectedErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		running  time.Duration
		msg, err string
		want     bool
	}{
		{time.Hour, "Watch ended", "context canceled", true},
		{time.Hour, "The manifest file is empty, ignoring.", "", true},
		{time.Second, "Failed to watch", `nodes is forbidden: User "system:kube-proxy" cannot list resource "nodes"`, true},
		{time.Hour, "Failed to watch", `nodes is forbidden: User "system:kube-proxy" cannot list resource "nodes"`, false},
		{time.Second, "Error getting the current node from lister", `node "main" not found`, true},
		{time.Hour, "Error getting the current node from lister", `node "main" not found`, false},
		{time.Second, "Failed to create sandbox", "no space left on device", false},
		{time.Second, "Failed to list existing sets", "operation not permitted", false},
	} {
		var err error
		if c.err != "" {
			err = errors.New(c.err)
		}
		if got := expectedAfter(c.running, c.msg, err); got != c.want {
			t.Errorf("%q: %q after %s: expected is %v", c.msg, c.err, c.running, got)
		}
	}
	for _, table := range [][]line{never, starting} {
		for _, l := range table {
			if l.why == "" {
				t.Errorf("%q has no reason: whoever hides an error says why", l.pattern)
			}
		}
	}
}

func TestComponentOfAFunction(t *testing.T) {
	t.Parallel()
	for function, want := range map[string]string{
		"k8s.io/kubernetes/cmd/kube-apiserver/app.Run":                                        "apiserver",
		"k8s.io/kubernetes/pkg/controlplane/controller/kubernetesservice.(*Controller).Start": "apiserver",
		"k8s.io/kubernetes/pkg/controller/garbagecollector.(*Monitor).Run":                    "controller-manager",
		"k8s.io/kubernetes/pkg/kubelet.(*Kubelet).syncLoop":                                   "kubelet",
		"k8s.io/kubernetes/pkg/proxy/nftables.(*Proxier).syncProxyRules":                      "proxy",
		"github.com/k3s-io/kine/pkg/drivers/generic.Open":                                     "datastore",
		"github.com/kelp-project/kelp/pkg/node/proxy.(*Proxy).Run":                            "proxy",
		"github.com/kelp-project/kelp/pkg/join.(*Server).answer.func1":                        "join",
		"k8s.io/client-go/tools/cache.(*Reflector).ListAndWatch":                              "",
		"main.main": "",
	} {
		if got := componentOf(function); got != want {
			t.Errorf("%s is of %q, want %q", function, got, want)
		}
	}
}
