package doctor

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// settling is how long a pod may take before somebody is told that nobody has
// looked at it yet.
const settling = 10 * time.Second

// pods is problem 3: pods that do not come up, and those that are not even
// made.
func pods(e Evidence) []Answer {
	var g grouped
	running := 0
	for i := range e.Cluster.Pods {
		p := &e.Cluster.Pods[i]
		a, key := pod(e, p)
		if key == "" {
			running++
			continue
		}
		g.add(ownerOf(p)+" "+key, a)
	}
	notMade(e, &g)
	if list := g.answers(); len(list) > 0 || e.Cluster.Errs["pods"] != "" {
		return list // of what was not seen there is nothing good to say
	}
	return []Answer{good(aboutPods, "%d of %d run, or have done what they were for", running, len(e.Cluster.Pods))}
}

// ownerOf tells pods that are alike.
func ownerOf(p *corev1.Pod) string {
	if len(p.OwnerReferences) > 0 {
		return p.Namespace + "/" + p.OwnerReferences[0].Name
	}
	return p.Namespace + "/" + p.Name
}

// pod is what keeps a pod from running; the key says in one word what kind of
// thing that is, and is empty when there is nothing to say.
func pod(e Evidence, p *corev1.Pod) (a Answer, key string) {
	switch {
	case p.DeletionTimestamp != nil: // one that has ended may stay, too
		return deleting(e, p)
	case p.Status.Phase == corev1.PodSucceeded, p.Status.Phase == corev1.PodFailed:
		return Answer{}, "" // whoever made it decides what comes next
	case p.Spec.NodeName == "":
		return unscheduled(e, p)
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch w, t := s.State.Waiting, s.State.Terminated; {
		case w != nil:
			if a, key := waitingContainer(e, p, s, w); key != "" {
				return a, key
			}
		case t != nil && t.ExitCode != 0 && s.RestartCount > 0:
			// The kubelet says only at its next look at the pod that it waits.
			return endsAgain(p, s, t)
		}
	}
	if p.Status.Phase == corev1.PodPending && e.Now.Sub(p.CreationTimestamp.Time) > settling {
		return creating(e, p)
	}
	return Answer{}, ""
}

func name(p *corev1.Pod) string { return "pod " + p.Namespace + "/" + p.Name }

func describe(p *corev1.Pod) string {
	return fmt.Sprintf("kelp kubectl -n %s describe pod %s", p.Namespace, p.Name)
}

// deleting is a pod that does not go away.
func deleting(e Evidence, p *corev1.Pod) (Answer, string) {
	if e.Now.Sub(p.DeletionTimestamp.Time) < time.Minute { // its time to end is over at that moment
		return Answer{}, ""
	}
	cause := "its containers do not end"
	next := []string{describe(p)}
	for i := range e.Cluster.Nodes {
		n := &e.Cluster.Nodes[i]
		if c := condition(n, corev1.NodeReady); n.Name == p.Spec.NodeName && (c == nil || c.Status != corev1.ConditionTrue) {
			cause, next = "its node "+n.Name+" is not ready", []string{"see nodes, above", fmt.Sprintf("if the machine is gone for good: kelp kubectl delete node %s", n.Name)}
		}
	}
	if len(p.Finalizers) > 0 {
		cause, next = "it has finalizers, which somebody has to take away: "+strings.Join(p.Finalizers, ", "), []string{describe(p)}
	}
	return problem(aboutPods, name(p)+" does not go away", cause, next...), "deleting"
}

// unscheduled is a pod without a node.
func unscheduled(e Evidence, p *corev1.Pod) (Answer, string) {
	text := name(p) + " is pending: it has no node"
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	switch {
	case i >= 0 && p.Status.Conditions[i].Reason == corev1.PodReasonSchedulingGated:
		return warning(aboutPods, text, "it has scheduling gates, which whoever set them has to take away", describe(p)), "gated"
	case i < 0 && e.Now.Sub(p.CreationTimestamp.Time) < settling:
		return Answer{}, ""
	case i < 0 && p.Spec.SchedulerName != corev1.DefaultSchedulerName:
		return problem(aboutPods, text, fmt.Sprintf("it asks for the scheduler %q, and none of that name has looked at it", p.Spec.SchedulerName), describe(p)), "scheduler"
	case i < 0:
		return problem(aboutPods, text, "the scheduler has not looked at it", "kelp status, and its component scheduler", logOf(e, "scheduler")), "scheduler"
	}
	causes, next := unschedulable(e, p, p.Status.Conditions[i].Message)
	return problem(aboutPods, text, causes, append(next, describe(p))...), "unschedulable " + causes
}

var counted = regexp.MustCompile(`^(\d+) (.+)$`)

// unschedulable reads the scheduler's message:
//
//	0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: …
func unschedulable(e Evidence, p *corev1.Pod, message string) (cause string, next []string) {
	_, reasons, found := strings.Cut(message, "are available: ")
	if !found {
		reasons = message
	}
	reasons, _, _ = strings.Cut(reasons, ". preemption:")
	var causes []string
	for _, reason := range strings.Split(strings.TrimSuffix(strings.TrimSpace(reasons), "."), ", ") {
		count, what := "", reason
		if m := counted.FindStringSubmatch(reason); m != nil {
			count, what = m[1], m[2]
		}
		text, command := reasonOf(e, p, what)
		if count != "" {
			text = strings.Replace(text, "%n", plural(count), 1)
		}
		text = strings.Replace(text, "%n", "nodes", 1)
		causes = append(causes, text)
		if command != "" && !slices.Contains(next, command) {
			next = append(next, command)
		}
	}
	return strings.Join(causes, "; "), next
}

func plural(count string) string {
	if count == "1" {
		return "1 node"
	}
	return count + " nodes"
}

// reasonOf puts one of the scheduler's reasons in words. In the text %n is the
// nodes that it is about. See pkg/scheduler/framework/plugins of Kubernetes.
func reasonOf(e Evidence, p *corev1.Pod, reason string) (text, next string) {
	has := func(part string) bool { return strings.Contains(reason, part) }
	if of, ok := strings.CutPrefix(reason, "Insufficient "); ok {
		text := fmt.Sprintf("%%n with less %s free than the %s that it asks for", of, asks(p, corev1.ResourceName(of)))
		if most := largest(e, corev1.ResourceName(of)); most != "" {
			text += " (the largest node has " + most + ")"
		}
		return text, "ask for less, or add a node; kelp kubectl describe nodes | grep -A 8 'Allocated resources'"
	}
	switch {
	case has("untolerated taint"):
		return "%n with taints that it does not tolerate: " + taints(e, p), "kelp kubectl taint node NODE KEY- takes one away, or give the pod a toleration"
	case has("were unschedulable"):
		return "%n cordoned: " + cordoned(e), "kelp kubectl uncordon NODE"
	case has("node affinity/selector"):
		return "%n without the labels that it asks for" + selectors(p), "kelp kubectl get nodes --show-labels, and label a node, or change the pod"
	case has("unbound immediate PersistentVolumeClaims"), has("persistentvolumeclaim"), has("pvc"), has("torageclass"):
		return claims(e, p, reason)
	case has("no nodes available"):
		return "there is no node", "see nodes, above"
	case has("Too many pods"):
		return "%n full: as many pods as they may have", "add a node, or raise maxPods of the kubelet"
	case has("free ports"):
		return "%n where another pod has its host port", "ask for another hostPort, or fewer pods"
	case has("anti-affinity"):
		return "%n with a pod beside which it must not be", "add a node, or relax its anti-affinity"
	case has("affinity rules"):
		return "%n without a pod beside which it has to be", "kelp kubectl get pods -A --show-labels"
	case has("topology spread"):
		return "%n where it would be one too many for its topology spread", "add a node, or relax its topologySpreadConstraints"
	}
	return strings.TrimPrefix(reason, "node(s) "), ""
}

// asks is how much a pod asks for.
func asks(p *corev1.Pod, of corev1.ResourceName) string {
	var sum, most resource.Quantity
	for _, c := range p.Spec.Containers {
		sum.Add(c.Resources.Requests[of])
	}
	for _, c := range p.Spec.InitContainers {
		if q := c.Resources.Requests[of]; q.Cmp(most) > 0 {
			most = q
		}
	}
	if most.Cmp(sum) > 0 {
		sum = most
	}
	return sum.String()
}

// largest is what the largest node has to give.
func largest(e Evidence, of corev1.ResourceName) string {
	if len(e.Cluster.Nodes) == 0 {
		return ""
	}
	n := slices.MaxFunc(e.Cluster.Nodes, func(a, b corev1.Node) int {
		x, y := a.Status.Allocatable[of], b.Status.Allocatable[of]
		return x.Cmp(y)
	})
	q := n.Status.Allocatable[of]
	return q.String()
}

// taints are those that a pod does not tolerate, with their nodes.
func taints(e Evidence, p *corev1.Pod) string {
	var list []string
	for _, n := range e.Cluster.Nodes {
		for _, t := range n.Spec.Taints {
			tolerated := slices.ContainsFunc(p.Spec.Tolerations, func(o corev1.Toleration) bool {
				return (o.Key == t.Key || o.Key == "") && (o.Effect == "" || o.Effect == t.Effect) && (o.Operator == corev1.TolerationOpExists || o.Value == t.Value)
			})
			if !tolerated && t.Effect != corev1.TaintEffectPreferNoSchedule {
				list = append(list, t.ToString()+" on "+n.Name)
			}
		}
	}
	return cmp.Or(strings.Join(list, ", "), "none is there any more")
}

func cordoned(e Evidence) string {
	var names []string
	for _, n := range e.Cluster.Nodes {
		if n.Spec.Unschedulable {
			names = append(names, n.Name)
		}
	}
	return cmp.Or(strings.Join(names, ", "), "none is any more")
}

func selectors(p *corev1.Pod) string {
	var list []string
	for key, value := range p.Spec.NodeSelector {
		list = append(list, key+"="+value)
	}
	slices.Sort(list)
	if len(list) > 0 {
		return ": " + strings.Join(list, ", ")
	}
	return ""
}
