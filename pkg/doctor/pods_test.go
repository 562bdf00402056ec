package doctor

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// pendingPod is one that the scheduler has found no node for.
func pendingPod(name, message string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: ago(time.Minute)},
		Spec: corev1.PodSpec{SchedulerName: "default-scheduler", Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100")}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}},
	}
}

// waitingPod is one on main with a container that waits.
func waitingPod(name, reason, message string) corev1.Pod {
	p := pendingPod(name, "")
	p.Spec.NodeName, p.Status.Conditions = "main", nil
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "c", Image: "example.test/a:1", RestartCount: 7,
		State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}},
	}}
	return p
}

func event(kind, name, reason, message string, age time.Duration) corev1.Event {
	return corev1.Event{
		InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: "shop", Name: name}, Reason: reason, Message: message,
		Type: corev1.EventTypeWarning, LastTimestamp: ago(age),
	}
}

func TestPodsWithoutANode(t *testing.T) {
	t.Parallel()
	unschedulable := func(message string, more ...func(*Evidence, *corev1.Pod)) func(*Evidence) {
		return func(e *Evidence) {
			p := pendingPod("web", message)
			for _, change := range more {
				change(e, &p)
			}
			e.Cluster.Pods = append(e.Cluster.Pods, p)
		}
	}
	claim := func(phase corev1.PersistentVolumeClaimPhase, class *string) func(*Evidence, *corev1.Pod) {
		return func(e *Evidence, p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
			if phase != "" {
				e.Cluster.Claims = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: class}, Status: corev1.PersistentVolumeClaimStatus{Phase: phase}}}
			}
		}
	}
	const unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	for name, f := range map[string]fault{
		"too large": {unschedulable("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."), Problem,
			[]string{"pods: pod shop/web is pending: it has no node", "1 node with less cpu free than the 100 that it asks for (the largest node has 2)", "ask for less", "kelp kubectl -n shop describe pod web"}},
		"several reasons": {unschedulable("0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.", func(e *Evidence, _ *corev1.Pod) { e.Cluster.Nodes[0].Spec.Unschedulable = true }), Problem,
			[]string{"pods:", "1 node cordoned: main; 2 nodes with less cpu free", "kelp kubectl uncordon NODE"}},
		"a taint": {unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint(s).", func(e *Evidence, _ *corev1.Pod) {
			e.Cluster.Nodes[0].Spec.Taints = []corev1.Taint{{Key: "for", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}, {Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule}}
		}), Problem, []string{"1 node with taints that it does not tolerate: for=gpu:NoSchedule on main |"}},
		"a taint that is tolerated is not named": {unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint(s).", func(e *Evidence, p *corev1.Pod) {
			e.Cluster.Nodes[0].Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "b", Effect: corev1.TaintEffectNoExecute}}
			p.Spec.Tolerations = []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}}
		}), Problem, []string{"does not tolerate: b:NoExecute on main |"}},
		"a selector":           {unschedulable("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", func(_ *Evidence, p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }), Problem, []string{"1 node without the labels that it asks for: disk=ssd"}},
		"host ports":           {unschedulable("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."), Problem, []string{"1 node where another pod has its host port"}},
		"anti-affinity":        {unschedulable("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."), Problem, []string{"2 nodes with a pod beside which it must not be"}},
		"something new":        {unschedulable("0/1 nodes are available: 1 node(s) had the wrong colour."), Problem, []string{"had the wrong colour"}},
		"no nodes":             {unschedulable("no nodes available to schedule pods"), Problem, []string{"there is no node"}},
		"no claim":             {unschedulable(`0/1 nodes are available: persistentvolumeclaim "data" not found.`, claim("", nil)), Problem, []string{"its claim data does not exist", "get pvc"}},
		"no such class":        {unschedulable(unbound, claim(corev1.ClaimPending, ptr.To("fast"))), Problem, []string{`its claim data is not bound: its StorageClass "fast" does not exist; there are local-path`, "describe pvc data"}},
		"no default class":     {unschedulable(unbound, claim(corev1.ClaimPending, nil)), Problem, []string{"it names no StorageClass, and none is the default"}},
		"nobody makes volumes": {unschedulable(unbound, claim(corev1.ClaimPending, ptr.To("local-path"))), Problem, []string{"its claim data is not bound: its volume is being made, or nobody makes it"}},
		"gates": {unschedulable("", func(_ *Evidence, p *corev1.Pod) {
			p.Status.Conditions[0].Reason = corev1.PodReasonSchedulingGated
		}), Warning, []string{"it has scheduling gates"}},
		"nobody looks":    {unschedulable("", func(_ *Evidence, p *corev1.Pod) { p.Status.Conditions = nil }), Problem, []string{"the scheduler has not looked at it"}},
		"wrong scheduler": {unschedulable("", func(_ *Evidence, p *corev1.Pod) { p.Status.Conditions, p.Spec.SchedulerName = nil, "mine" }), Problem, []string{`it asks for the scheduler "mine"`}},
		"made just now": {unschedulable("", func(_ *Evidence, p *corev1.Pod) {
			p.Status.Conditions, p.CreationTimestamp = nil, ago(time.Second)
		}), Good, []string{"pods: 1 of 1 run"}},
	} {
		f.check(t, name)
	}
}

func TestPodsWithANode(t *testing.T) {
	t.Parallel()
	with := func(p corev1.Pod, events ...corev1.Event) func(*Evidence) {
		return func(e *Evidence) { e.Cluster.Pods, e.Cluster.Events = append(e.Cluster.Pods, p), events }
	}
	creating := func(age time.Duration) corev1.Pod {
		p := waitingPod("web", "ContainerCreating", "")
		p.CreationTimestamp = ago(age)
		return p
	}
	deleted := creating(time.Hour)
	deleted.DeletionTimestamp = ptr.To(ago(5 * time.Minute))
	held := deleted
	held.Finalizers = []string{"example.test/hold"}
	heldEnded := held
	heldEnded.Status.Phase = corev1.PodSucceeded
	oom := waitingPod("web", "CrashLoopBackOff", "")
	oom.Status.ContainerStatuses[0].LastTerminationState.Terminated.Reason = "OOMKilled"
	once := waitingPod("web", "CrashLoopBackOff", "")
	once.Status.ContainerStatuses[0].RestartCount = 1
	ended := waitingPod("web", "", "")
	ended.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 4}}
	for name, f := range map[string]fault{
		"no such image": {with(waitingPod("web", "ErrImagePull", `failed to pull image: example.test/a:1: not found`)), Problem,
			[]string{"pods: pod shop/web: container c is not started: its image cannot be pulled", "example.test/a:1 is not in the registry", "correct its name or tag"}},
		"no such image, later": {with(waitingPod("web", "ImagePullBackOff", "Back-off pulling image"), event("Pod", "web", "Failed", `Failed to pull image "a": not found`, time.Minute)), Problem, []string{"is not in the registry"}},
		"no registry":          {with(waitingPod("web", "ErrImagePull", "dial tcp: lookup example.test: no such host")), Problem, []string{"the registry cannot be reached from main", "name a mirror in /etc/kelp/registries.yaml"}},
		"no password":          {with(waitingPod("web", "ErrImagePull", "401 Unauthorized")), Problem, []string{"wants a name and a password", "credentials"}},
		"an unknown authority": {with(waitingPod("web", "ErrImagePull", "x509: signed by unknown authority")), Problem, []string{"certificate is not trusted"}},
		"never pulled":         {with(waitingPod("web", "ErrImageNeverPull", "")), Problem, []string{"its image is not on the node", "/var/lib/kelp/images on main"}},
		"a bad name":           {with(waitingPod("web", "InvalidImageName", "")), Problem, []string{`"example.test/a:1" is no name of an image`}},
		"a missing secret":     {with(waitingPod("web", "CreateContainerConfigError", `secret "s" not found`)), Problem, []string{`secret "s" not found`}},
		"it ends":              {with(waitingPod("web", "CrashLoopBackOff", "")), Problem, []string{"container c ends again and again, 7 times so far", "it ended with status 3", "kelp kubectl -n shop logs web -c c --previous"}},
		"it ended once":        {with(once), Warning, []string{"container c has ended, and is started again", "it ended with status 3", "--previous"}},
		"it has ended again":   {with(ended), Problem, []string{"container c ends again and again, 7 times so far", "it ended with status 4"}},
		"out of memory":        {with(oom), Problem, []string{"ends again and again", "it used more memory than its limit"}},
		"no volume":            {with(creating(20*time.Second), event("Pod", "web", "FailedMount", `configmap "c" not found`, time.Second)), Problem, []string{"pod shop/web is pending on main", `configmap "c" not found`}},
		"no sandbox":           {with(creating(20*time.Second), event("Pod", "web", "FailedCreatePodSandBox", "plugin bridge failed", time.Second)), Problem, []string{"plugin bridge failed"}},
		"slow":                 {with(creating(3 * time.Minute)), Warning, []string{"pod shop/web is pending on main, for 3m00s"}},
		"being made":           {with(creating(20 * time.Second)), Good, []string{"pods: 1 of 1 run"}},
		"its node is away": {func(e *Evidence) {
			with(creating(time.Minute))(e)
			e.Cluster.Nodes[0].Status.Conditions[0].Status = corev1.ConditionUnknown
		}, Problem, []string{"pod shop/web is pending on main", "its node is not ready"}},
		"it does not go":  {with(deleted), Problem, []string{"pod shop/web does not go away", "its containers do not end"}},
		"its end is held": {with(heldEnded), Problem, []string{"pod shop/web does not go away", "finalizers"}},
		"it is held":      {with(held), Problem, []string{"pod shop/web does not go away", "finalizers", "example.test/hold"}},
		"a quota":         {with(creating(time.Second), event("ReplicaSet", "web-5d4f", "FailedCreate", `Error creating: pods "web-5d4f-x" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=1, limited: cpu=1`, time.Minute)), Good, []string{"pods:"}},
		"a quota, of a deployment": {func(e *Evidence) {
			e.Cluster.Deployments = append(e.Cluster.Deployments, appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: ptr.To(int32(2))}, Status: appsv1.DeploymentStatus{Replicas: 1}})
			e.Cluster.Events = []corev1.Event{event("ReplicaSet", "web-5d4f", "FailedCreate", `Error creating: pods "web-5d4f-x" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=1, limited: cpu=1`, time.Minute)}
		}, Problem, []string{"pods: replicaset shop/web-5d4f cannot make its pods", "exceeded quota: small, requested: cpu=1", "describe resourcequota"}},
		"a quota, long ago": {func(e *Evidence) {
			e.Cluster.Events = []corev1.Event{event("StatefulSet", "web", "FailedCreate", "exceeded quota: small", time.Hour)}
		}, Good, []string{"pods:"}},
	} {
		f.check(t, name)
	}
}

// Pods that are alike are one answer, and many kinds of problems do not fill
// the screen.
func TestManyPodsAreFewAnswers(t *testing.T) {
	t.Parallel()
	e := well()
	for i := range 40 {
		p := waitingPod(fmt.Sprintf("web-%d", i), "CrashLoopBackOff", "")
		p.OwnerReferences = []metav1.OwnerReference{{Name: "web"}}
		e.Cluster.Pods = append(e.Cluster.Pods, p, pendingPod(fmt.Sprintf("alone-%d", i), ""))
	}
	list := pods(e)
	if len(list) != mostGroups+1 || list[0].Text != "pod shop/web-0: container c ends again and again, 7 times so far, and so are 39 more" || list[mostGroups].Text != "and 26 more kinds of problems" {
		t.Errorf("%d answers: %+v", len(list), list)
	}
}
