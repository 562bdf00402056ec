package apiserver

import (
	"errors"
	"fmt"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit/policy"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/internal/document"
)

const auditPolicyArg = "audit-policy-file"

// goneAudit are the versions of the audit policy that upstream reads no more.
var goneAudit = map[string]string{"audit.k8s.io/v1alpha1": "v1.24", "audit.k8s.io/v1beta1": "v1.24"}

// checkAuditPolicy refuses a policy that upstream would refuse when other components
// run already, or of which it would overlook a part.
func checkAuditPolicy(set *args.Set) error {
	path, given := set.Get(auditPolicyArg)
	if !given {
		return nil
	}
	doc, err := document.Read(path)
	if err != nil {
		return set.Problem(auditPolicyArg, err)
	}
	if release, gone := goneAudit[doc.APIVersion]; gone {
		return doc.Errorf("apiVersion", "%s was removed in %s; write %s", doc.APIVersion, release, auditv1.SchemeGroupVersion)
	}
	if doc.APIVersion != auditv1.SchemeGroupVersion.String() || doc.Kind != "Policy" {
		return doc.Errorf("apiVersion", "apiVersion and kind must be %s and Policy", auditv1.SchemeGroupVersion)
	}
	if errs := doc.Decode(&auditv1.Policy{}, nil); len(errs) > 0 {
		return errors.Join(errs...)
	}
	if _, err := policy.LoadPolicyFromFile(path); err != nil {
		return fmt.Errorf("audit policy: %w", err)
	}
	return nil
}
