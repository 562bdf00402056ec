package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// waitingContainer is about a container that is not started, or not again.
func waitingContainer(e Evidence, p *corev1.Pod, s corev1.ContainerStatus, w *corev1.ContainerStateWaiting) (Answer, string) {
	text := fmt.Sprintf("%s: container %s is not started", name(p), s.Name)
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff":
		cause, next := image(e, p, s, w)
		return problem(aboutPods, text+": its image cannot be pulled", cause, next...), w.Reason[:3] + s.Image
	case "ErrImageNeverPull":
		return problem(aboutPods, text+": its image is not on the node", fmt.Sprintf("%s is not there, and imagePullPolicy Never forbids to pull it", s.Image), "put an archive with it into "+e.Config.Paths().Images+" on "+p.Spec.NodeName), w.Reason
	case "InvalidImageName":
		return problem(aboutPods, text, fmt.Sprintf("%q is no name of an image", s.Image), describe(p)), w.Reason
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		return problem(aboutPods, text, cmp.Or(w.Message, w.Reason), describe(p)), w.Reason
	case crashing:
		return endsAgain(p, s, s.LastTerminationState.Terminated)
	}
	return Answer{}, ""
}

// crashing is the kubelet's word for a container that it waits with before it starts it
// again.
const crashing = "CrashLoopBackOff"

// endsAgain is about such a container, and its last end, if that is known. One that was
// started again but once may have been early: its API moved, or what it needs had not
// started.
func endsAgain(p *corev1.Pod, s corev1.ContainerStatus, t *corev1.ContainerStateTerminated) (Answer, string) {
	cause := ""
	if t != nil {
		cause = fmt.Sprintf("it ended with status %d", t.ExitCode)
		if t.Reason == "OOMKilled" {
			cause = "it used more memory than its limit"
		}
	}
	next := fmt.Sprintf("kelp kubectl -n %s logs %s -c %s --previous", p.Namespace, p.Name, s.Name)
	if s.RestartCount < 2 {
		return warning(aboutPods, fmt.Sprintf("%s: container %s has ended, and is started again", name(p), s.Name), cause, next), crashing + " once"
	}
	return problem(aboutPods, fmt.Sprintf("%s: container %s ends again and again, %d times so far", name(p), s.Name, s.RestartCount), cause, next), crashing
}

// image says why an image cannot be had. The first failure has the whole
// message, later ones say only that it is waited; the event keeps it.
func image(e Evidence, p *corev1.Pod, s corev1.ContainerStatus, w *corev1.ContainerStateWaiting) (cause string, next []string) {
	message := w.Message
	if m := eventOf(e, "Pod", p.Namespace, p.Name, func(v *corev1.Event) bool {
		return v.Reason == "Failed" && strings.Contains(v.Message, "pull image")
	}); m != "" {
		message = m
	}
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(strings.ToLower(message), part) })
	}
	offline := "or put an archive with it into " + e.Config.Paths().Images + " on " + p.Spec.NodeName
	switch {
	case has("unauthorized", "denied", "authentication required", "401", "403"):
		return s.Image + ": the registry wants a name and a password, or has no such repository: " + message, []string{"give kelp credentials in " + e.Config.Containerd.Registries + ", or the pod an imagePullSecret"}
	case has("no such host", "dial tcp", "timeout", "connection refused", "network is unreachable", "temporary failure"):
		return s.Image + ": the registry cannot be reached from " + p.Spec.NodeName + ": " + message, []string{"see that the node reaches it, name a mirror in " + e.Config.Containerd.Registries + ",", offline}
	case has("x509", "certificate"):
		return s.Image + ": the registry's certificate is not trusted: " + message, []string{"name its authority in " + e.Config.Containerd.Registries}
	case has("not found", "manifest unknown"):
		return s.Image + " is not in the registry: " + message, []string{"correct its name or tag,", offline}
	}
	return s.Image + ": " + message, []string{describe(p), offline}
}

// eventOf is the message of the newest event of an object that matches.
func eventOf(e Evidence, kind, namespace, name string, matches func(*corev1.Event) bool) string {
	var newest *corev1.Event
	for i := range e.Cluster.Events {
		v := &e.Cluster.Events[i]
		o := v.InvolvedObject
		if o.Kind == kind && o.Namespace == namespace && o.Name == name && matches(v) && (newest == nil || timeOf(v).After(timeOf(newest))) {
			newest = v
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Message
}

// timeOf is when an event happened last.
func timeOf(v *corev1.Event) time.Time {
	switch {
	case v.Series != nil && !v.Series.LastObservedTime.IsZero():
		return v.Series.LastObservedTime.Time
	case !v.LastTimestamp.IsZero():
		return v.LastTimestamp.Time
	case !v.EventTime.IsZero():
		return v.EventTime.Time
	}
	return v.CreationTimestamp.Time
}

// creating is a pod that has a node, and no container yet.
func creating(e Evidence, p *corev1.Pod) (Answer, string) {
	text := fmt.Sprintf("%s is pending on %s", name(p), p.Spec.NodeName)
	for i := range e.Cluster.Nodes {
		n := &e.Cluster.Nodes[i]
		if c := condition(n, corev1.NodeReady); n.Name == p.Spec.NodeName && (c == nil || c.Status != corev1.ConditionTrue) {
			return problem(aboutPods, text, "its node is not ready", "see nodes, above"), "node"
		}
	}
	message := eventOf(e, "Pod", p.Namespace, p.Name, func(v *corev1.Event) bool {
		return v.Reason == "FailedMount" || v.Reason == "FailedAttachVolume" || v.Reason == "FailedCreatePodSandBox"
	})
	switch {
	case message != "":
		return problem(aboutPods, text, message, describe(p)), "creating"
	case e.Now.Sub(p.CreationTimestamp.Time) > time.Minute:
		return warning(aboutPods, text+", for "+short(e.Now.Sub(p.CreationTimestamp.Time)), "its node pulls images or makes volumes, or does not get on", describe(p)), "slow"
	}
	return Answer{}, ""
}

// claims says why a pod's volumes are not there.
func claims(e Evidence, p *corev1.Pod, reason string) (text, next string) {
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		name := v.PersistentVolumeClaim.ClaimName
		i := slices.IndexFunc(e.Cluster.Claims, func(c corev1.PersistentVolumeClaim) bool { return c.Namespace == p.Namespace && c.Name == name })
		switch {
		case i < 0:
			return fmt.Sprintf("its claim %s does not exist", name), fmt.Sprintf("kelp kubectl -n %s get pvc", p.Namespace)
		case e.Cluster.Claims[i].Status.Phase == corev1.ClaimPending:
			return "its claim " + name + " is not bound: " + unbound(e, &e.Cluster.Claims[i]), fmt.Sprintf("kelp kubectl -n %s describe pvc %s", p.Namespace, name)
		}
	}
	return reason, "kelp kubectl -n " + p.Namespace + " get pvc"
}

func unbound(e Evidence, c *corev1.PersistentVolumeClaim) string {
	var names []string
	for _, class := range e.Cluster.Classes {
		names = append(names, class.Name)
	}
	there := "there are " + strings.Join(names, ", ")
	if len(names) == 0 {
		there = "there is none"
	}
	switch class := c.Spec.StorageClassName; {
	case class == nil:
		return "it names no StorageClass, and none is the default; " + there
	case *class != "" && !slices.Contains(names, *class):
		return fmt.Sprintf("its StorageClass %q does not exist; %s", *class, there)
	}
	return cmp.Or(eventOf(e, "PersistentVolumeClaim", c.Namespace, c.Name, func(*corev1.Event) bool { return true }), "its volume is being made, or nobody makes it")
}

// recent is how old an event may be to be about what is the matter now.
const recent = 15 * time.Minute

// notMade are pods that a controller may not make. Their controllers try
// again, less and less often.
func notMade(e Evidence, g *grouped) {
	for i := range e.Cluster.Events {
		v := &e.Cluster.Events[i]
		if v.Reason != "FailedCreate" || e.Now.Sub(timeOf(v)) > recent || made(e, v.InvolvedObject) {
			continue
		}
		o := v.InvolvedObject
		_, why, found := strings.Cut(v.Message, "is forbidden: ")
		if !found {
			why = v.Message
		}
		next := []string{fmt.Sprintf("kelp kubectl -n %s describe %s %s", o.Namespace, strings.ToLower(o.Kind), o.Name)}
		if strings.Contains(why, "exceeded quota") {
			next = append(next, fmt.Sprintf("kelp kubectl -n %s describe resourcequota", o.Namespace))
		}
		key := why
		if at := strings.Index(why, ","); at > 0 {
			key = why[:at] // figures differ from try to try
		}
		g.add(o.Namespace+"/"+o.Name+" "+key, problem(aboutPods, fmt.Sprintf("%s %s/%s cannot make its pods", strings.ToLower(o.Kind), o.Namespace, o.Name), why, next...))
	}
}

// made says that a ReplicaSet's Deployment has all its pods by now.
func made(e Evidence, o corev1.ObjectReference) bool {
	if o.Kind != "ReplicaSet" {
		return false
	}
	for _, d := range e.Cluster.Deployments {
		if d.Namespace == o.Namespace && strings.HasPrefix(o.Name, d.Name+"-") {
			return d.Spec.Replicas == nil || d.Status.Replicas >= *d.Spec.Replicas
		}
	}
	return true // it is gone
}
