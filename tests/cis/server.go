package cis

import (
	"encoding/json"
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// packaged are the service accounts of what kelp packages.
var packaged = []string{"coredns", "metrics-server", "local-path-provisioner"}

func serverLooks() []look {
	var looks []look
	for _, component := range []string{api, manager, sched, store} {
		looks = append(looks, look{"kelp args --output=flags " + component, func(e *Evidence, text string) error {
			e.Args[component] = map[string]string{}
			for line := range strings.Lines(text) {
				name, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "--")), "=")
				if old, ok := e.Args[component][name]; ok {
					value = old + "," + value
				}
				e.Args[component][name] = value
			}
			return nil
		}})
	}
	return append(looks,
		look{"sed -n '/providers:/{n;s/.*- \\([a-z]*\\):.*/\\1/p;q}' /run/kelp/encryption.yaml", func(e *Evidence, text string) error {
			e.Provider = strings.TrimSpace(text)
			return nil
		}},
		look{"kelp status -o json", readComponents},
		look{"kelp kubectl get clusterrolebindings -o json", readAdmins},
		look{"kelp kubectl get clusterroles,roles -A -o json", readRoles},
		look{mayThey(), readRights},
		look{"kelp kubectl -n default create --dry-run=server -f - 2>&1 <<'END' || true\n" + pods() + "END\n", func(e *Evidence, text string) (err error) {
			e.Admitted, err = admitted(text)
			return err
		}},
		look{leaveTraces, readAudit},
	)
}

func readComponents(e *Evidence, text string) error {
	var status struct {
		Components []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return fmt.Errorf("read kelp's status: %w", err)
	}
	e.Components = map[string]string{}
	for _, c := range status.Components {
		e.Components[c.Name] = c.State
	}
	return nil
}

func readAdmins(e *Evidence, text string) error {
	var list rbacv1.ClusterRoleBindingList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return fmt.Errorf("read bindings: %w", err)
	}
	for _, b := range list.Items {
		for _, s := range b.Subjects {
			if b.RoleRef.Name == "cluster-admin" {
				e.Admins = append(e.Admins, b.Name+" "+s.Kind+" "+s.Name)
			}
		}
	}
	return nil
}

// mayThey asks what packaged accounts may do.
func mayThey() string {
	return `for right in 'get secrets' 'create pods'; do
	for account in ` + strings.Join(packaged, " ") + `; do
		echo "$right,$account,$(kelp kubectl auth can-i $right --all-namespaces --as=system:serviceaccount:kube-system:$account 2>/dev/null || true)"
	done
done`
}

func readRights(e *Evidence, text string) error {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) != 3 || fields[2] != "yes" && fields[2] != "no" {
			return fmt.Errorf("read the right %q", line)
		}
		if e.Rights[fields[0]] == nil {
			e.Rights[fields[0]] = map[string]bool{}
		}
		e.Rights[fields[0]][fields[1]] = fields[2] == "yes"
	}
	return nil
}

// auditLog is where docs/security.md has it.
const auditLog = "/var/log/kelp/audit.log"

// leaveTraces does what has to be in an audit log, and prints the log. The trials of
// pods are in it already.
const leaveTraces = `kelp kubectl -n kube-system get secrets --ignore-not-found nothing
kelp kubectl -n kube-system exec deployment/coredns -- /nothing 2>/dev/null || true
if [ -f ` + auditLog + ` ]; then grep -hE '"resource":"(secrets|pods)"' ` + auditLog + ` || true; fi`

func readAudit(e *Evidence, text string) error {
	for line := range strings.Lines(text) {
		var event struct {
			Level, Verb string
			ObjectRef   struct{ Resource, Subresource string }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		resource := event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		e.Audit = append(e.Audit, Event{resource, event.Verb, event.Level})
	}
	return nil
}
