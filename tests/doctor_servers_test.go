//go:build e2e

package tests

import (
	"testing"
)

// notRenewed refuses every change of the lease by which one of the servers runs what
// runs once, as a webhook of somebody's may.
const notRenewed = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: not-renewed}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [coordination.k8s.io], apiVersions: ["*"], operations: [UPDATE], resources: [leases], resourceNames: [kelp]}]
  validations: [{expression: "false"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: not-renewed}
spec: {policyName: not-renewed, validationActions: [Deny]}
`

// doctorOfServers has a lease that nobody can renew, and an agent whose kelp hangs
// while its machine takes connections. Both go on in the processes that they had.
func doctorOfServers(t *testing.T, one *server, leaf *server) {
	unit := func(s *server, action string) {
		t.Helper()
		s.run(t, "systemctl kill --signal="+action+" --kill-whom=main kelp")
	}
	before := one.run(t, "systemctl show -p MainPID --value kelp")
	unit(leaf, "STOP")
	defer unit(leaf, "CONT")
	one.apply(t, notRenewed)
	one.awaitDiagnosis(t, 3*soon, "problem", "controllers: ", " holds the lease, and has not renewed it for ", "controllers and scheduler rest", "kelp doctor")
	one.kubectl(t, "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "not-renewed")
	one.awaitNoProblem(t, 2*soon, "controllers")
	// The controllers, which had to rest, mark the node.
	one.awaitDiagnosis(t, 3*soon, "problem", "nodes: "+leaf.Name+" is not ready: its kubelet has said nothing for ", "its kubelet hangs", "on "+leaf.Name+": kelp doctor")
	unit(leaf, "CONT")
	one.awaitNoProblem(t, ready, "nodes")
	if after := one.run(t, "systemctl show -p MainPID --value kelp"); after != before {
		t.Errorf("kelp on %s has started anew", one.Name)
	}
}
