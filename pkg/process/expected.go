package process

import (
	"regexp"
	"time"
)

// startGrace is how long after the process's start the components' waiting
// for each other is no news: what each one waits for is in kelp status, and a
// start that takes longer than this has something wrong with it.
const startGrace = 45 * time.Second

// processStart is when this process began, nearly.
var processStart = time.Now()

// line is a pattern of what upstream logs as an error, and why nobody needs
// to act on it. It matches "message: error".
type line struct{ pattern, why string }

// never are errors that are none, at any time.
var never = []line{
	{`context canceled`, "a stop, or a client that went away"},
	{`http2: stream closed`, "a client that went away"},
	{`Unable to authenticate the request`, "anybody can cause it, and it is audited"},
	{`the object has been modified; please apply your changes to the latest version`, "optimistic locking: tried again"},
	{`^The manifest file is empty, ignoring`, "a file of metrics to allow, which nobody gave"},
	{`^Failed to set rlimit on max file handles`, "Setup has raised the limit as far as the host allows"},
	{`^Failed to ensure process in container with oom score`, "without CAP_SYS_RESOURCE: the unit file sets it"},
	{`^Failed to read data from checkpoint.*checkpoint is not found`, "the first start of a kubelet"},
	{`failed to check if we have separate container filesystem\. Ignoring`, "only containerd's newer snapshotters tell"},
	{`Stats initialization may not have completed yet`, "the first collection comes before the first statistics"},
	{`failed with read version: \d+ is not as new as written version`, "a controller's cache is behind its own write: tried again"},
	{`^Failed to get system container stats`, "cAdvisor does not follow every cgroup; only the kubelet's own summary lacks a line"},
	{`^Failed to list existing sets.*no such file or directory`, "before proxy has made its table"},
}

// starting are errors of components that begin before what they need is
// there, and try again. They are news once startGrace is over.
var starting = []line{
	{`is forbidden: User "system:`, "the API server makes its roles in its first second"},
	{`RBAC: .*not found`, "the same"},
	{`connection refused`, "the API server is not up yet"},
	{`[Nn]ode "[^"]*" not found|nodes? is not registered|node is not registered yet`, "before the kubelet has made its node"},
	{`namespaces? "[^"]*" not found`, "before the API server has made its namespaces"},
	{`^Failed to ensure lease exists, will retry`, "the same"},
	{`PLEG is not healthy: pleg has yet to be successful|runtime status check may not have completed yet`, "before the kubelet's first look at containers"},
	{`cni plugin not initialized`, "before the node has its pod CIDR"},
	{`CSINode is not yet initialized`, "before the kubelet has made it"},
	{`^Error updating node status, will retry`, "before the kubelet has made its node"},
	{`loading OpenAPI spec for .* failed|failed to download .*(503|unexpected)|ResponseCode: 503`, "aggregated APIs come up as pods"},
	{`unable to retrieve the complete list of server APIs|stale GroupVersion discovery`, "the same"},
	{`service unavailable|the server is currently unable to handle the request`, "the same"},
	{`^error resolving .*: no endpoints available for service`, "the same"},
	{`[Nn]odes? "[^"]*" not found$`, "before the kubelet has made its node"},
	{`missing content for CA bundle|not yet synced|has not (been )?synced`, "before the first list"},
	{`serviceaccounts? "default" not found`, "before the controller manager has made it"},
}

// lastWords are what kube-proxy logs, as information, before it ends the process
// without another word: it starts anew when its node is another one.
var lastWords = []string{"Node is being deleted", "NodeIPs changed for the node", "PodCIDRs changed for the node"}

var (
	neverPattern    = compile(never)
	startingPattern = compile(starting)
)

func compile(lines []line) *regexp.Regexp {
	all := ""
	for _, l := range lines {
		if all != "" {
			all += "|"
		}
		all += "(?:" + l.pattern + ")"
	}
	return regexp.MustCompile(all)
}

// expected says whether nobody needs to act on an error of upstream's.
func expected(msg string, err error) bool {
	return expectedAfter(time.Since(processStart), msg, err)
}

func expectedAfter(running time.Duration, msg string, err error) bool {
	if err != nil {
		msg += ": " + err.Error()
	}
	return neverPattern.MatchString(msg) || running < startGrace && startingPattern.MatchString(msg)
}
