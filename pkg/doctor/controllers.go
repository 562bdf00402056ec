package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/supervisor"
)

// leaseName is the one by which one of several servers runs what runs once.
const leaseName = "kelp"

// lagLimit is how long a controller may take to look at a change. It takes
// milliseconds.
const lagLimit = 30 * time.Second

// controllers is problem 5: what is asked for is not done.
func controllers(e Evidence) []Answer {
	if !e.Server {
		return nil
	}
	list := denied(e)
	list = append(list, leaseAnswers(e)...)
	for _, d := range e.Cluster.Deployments {
		changed := d.CreationTimestamp.Time
		for _, f := range d.ManagedFields {
			if f.Subresource == "" && f.Time != nil && f.Time.After(changed) {
				changed = f.Time.Time
			}
		}
		if d.Status.ObservedGeneration < d.Generation && e.Now.Sub(changed) > lagLimit {
			list = append(list, problem(aboutControllers, fmt.Sprintf("nobody has looked at deployment %s/%s since it was changed, %s ago", d.Namespace, d.Name, short(e.Now.Sub(changed))), controllerCause(e), logOf(e, "controller-manager")))
			break // the others follow from the same
		}
	}
	seen := e.Cluster.Errs["permissions"] == "" && e.Cluster.Errs["leases"] == "" && e.Cluster.Errs["deployments"] == ""
	if len(list) == 0 && seen {
		where := "here"
		if holder := holderOf(e); holder != "" {
			where = "on " + holder
		}
		list = append(list, good(aboutControllers, "controller-manager and scheduler run %s, and may do what they have to", where))
	}
	return list
}

// denied are the control plane's parts without their roles.
func denied(e Evidence) []Answer {
	var list []Answer
	for _, user := range slices.Sorted(maps.Keys(e.Cluster.Denied)) {
		lost := e.Cluster.Denied[user]
		if len(lost) == 0 {
			continue
		}
		list = append(list, problem(aboutControllers, fmt.Sprintf("%s may not %s", strings.TrimPrefix(user, "system:"), strings.Join(lost, ", ")),
			fmt.Sprintf("its role or the binding of it, both called %s, was changed or deleted", user),
			restartServer(e)+", which makes both anew", "kelp kubectl describe clusterrolebinding "+user))
	}
	return list
}

// holderOf is the server that runs what runs once, empty where there is one
// server.
func holderOf(e Evidence) string {
	for _, l := range e.Cluster.Leases {
		if l.Name == leaseName && l.Spec.HolderIdentity != nil {
			return *l.Spec.HolderIdentity
		}
	}
	return ""
}

func leaseAnswers(e Evidence) []Answer {
	for _, l := range e.Cluster.Leases {
		if l.Name != leaseName || l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
			continue
		}
		limit := 2 * time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
		age := e.Now.Sub(l.Spec.RenewTime.Time)
		switch holder := holderOf(e); {
		case holder == "":
			return []Answer{problem(aboutControllers, "no server holds the lease: controllers and scheduler rest", "servers are starting, or cannot write to the datastore", "kelp kubectl -n kube-system get lease kelp", "kelp etcd members")}
		case age > limit:
			return []Answer{problem(aboutControllers, fmt.Sprintf("%s holds the lease, and has not renewed it for %s: controllers and scheduler rest", holder, short(age)), "that server is gone or stalls, and no other one runs, or the servers' clocks differ", "on "+holder+": kelp doctor", "kelp kubectl -n kube-system get lease kelp")}
		}
	}
	return nil
}

func controllerCause(e Evidence) string {
	if e.Status != nil {
		for _, c := range e.Status.Components {
			if c.Name == "controller-manager" && c.State != supervisor.Ready {
				return "controller-manager is " + string(c.State) + ": " + c.LastError
			}
		}
	}
	if a := append(denied(e), leaseAnswers(e)...); len(a) > 0 {
		return a[0].Text
	}
	return "controller-manager does not work through its queue"
}
