package cis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

func authentication() []Control {
	return []Control{
		{"3.1.1", "Users do not have client certificates", Yours, "an OIDC provider: `oidc-issuer-url` or `authentication-config` among `args.apiserver`; keep the administrator's kubeconfig for emergencies", nil},
		{"3.1.2", "Users do not have service accounts' tokens", Yours, "the same", nil},
		{"3.1.3", "Users do not have bootstrap tokens", Passes, "the API takes none; tokens to join with are another thing", notTrue(api, "enable-bootstrap-token-auth")},
		{"3.2.1", "There is an audit policy", Setting, "`audit-policy-file`", given(api, "audit-policy-file")},
		{"3.2.2", "The policy covers what matters", Setting, "the policy below: Secrets without their content, changes, ways into pods", audited},
	}
}

func notTrue(component, name string) Check {
	return func(e Evidence) error {
		if len(e.Args[component]) == 0 || e.Args[component][name] == "true" {
			return fmt.Errorf("%s has --%s=%q", component, name, e.Args[component][name])
		}
		return nil
	}
}

// audited wants requests for Secrets and ways into pods to be in the log, without
// what Secrets hold, and changes of pods.
func audited(e Evidence) error {
	want := map[string]bool{"secrets get Metadata": false, "pods/exec get Metadata": false, "pods create Request": false}
	for _, event := range e.Audit {
		if _, ok := want[event.String()]; ok {
			want[event.String()] = true
		}
		if event.Resource == "secrets" && event.Level != "Metadata" {
			return fmt.Errorf("the audit log has requests for Secrets at the level %s", event.Level)
		}
	}
	var missing []string
	for what, seen := range want {
		if !seen {
			missing = append(missing, what)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("the audit log does not have %s", strings.Join(missing, ", "))
	}
	return nil
}

func accounts() []Control {
	return []Control{
		{"5.1.1", "cluster-admin is given where it is needed only", Yours, "kelp binds it to nobody beyond upstream's `system:masters`", clusterAdmins},
		{"5.1.2", "Few may read Secrets", Yours, "what kelp packages may not", packagedMayNot("get secrets")},
		{"5.1.3", "Roles do not say \"everything\"", Yours, "kelp's do not", rolesLack("*")},
		{"5.1.4", "Few may create pods", Yours, "of what kelp packages, the local-path provisioner may, in `kube-system`", packagedMayNot("create pods")},
		{"5.1.5", "Default service accounts are not used", Yours, "kelp uses none; below is how to take their tokens away", nil},
		{"5.1.6", "Tokens are mounted where they are needed only", Yours, "the packaged pods need theirs", nil},
		{"5.1.7", "Nobody is in system:masters", Yours, "the administrator's certificate and kelp's own on servers are, 0600: make users of your own and leave these alone", nil},
		{"5.1.8", "Few may bind, impersonate or escalate", Yours, "kelp's roles do not", rolesLack("bind", "impersonate", "escalate")},
		{"5.1.9", "Few may create persistent volumes", Yours, "of what kelp packages, the local-path provisioner may", nil},
		{"5.1.10", "Few may use nodes' proxy", Yours, "the API server itself may, as kubelets' client", rolesLack("nodes/proxy")},
		{"5.1.11", "Few may approve certificate requests", Yours, "kelp's roles do not", rolesLack("certificatesigningrequests/approval")},
		{"5.1.12", "Few may change webhooks", Yours, "kelp's roles do not", rolesLack("validatingwebhookconfigurations", "mutatingwebhookconfigurations")},
		{"5.1.13", "Few may make service accounts' tokens", Yours, "kelp's roles do not", rolesLack("serviceaccounts/token")},
	}
}

func clusterAdmins(e Evidence) error {
	if len(e.Admins) != 1 || e.Admins[0] != "cluster-admin Group system:masters" {
		return fmt.Errorf("cluster-admin is bound by %q", e.Admins)
	}
	return nil
}

// packagedMayNot wants what kelp packages not to have a right in all namespaces.
func packagedMayNot(right string) Check {
	return func(e Evidence) error {
		if len(e.Rights[right]) == 0 {
			return errors.New("nobody was asked for the right to " + right)
		}
		for account, may := range e.Rights[right] {
			if may {
				return fmt.Errorf("%s may %s", account, right)
			}
		}
		return nil
	}
}

// rolesLack wants the roles that are not upstream's to have none of the resources
// and verbs.
func rolesLack(words ...string) Check {
	return func(e Evidence) error {
		if len(e.Roles) == 0 {
			return errors.New("no role was seen")
		}
		for _, r := range e.Roles {
			for _, word := range words {
				if slices.Contains(r.Words, word) {
					return fmt.Errorf("the role %s has %q", r.Name, word)
				}
			}
		}
		return nil
	}
}

func podSecurity() []Control {
	const restricted = "`restricted` below, or a label of the namespace"
	return []Control{
		{"5.2.1", "Some policy looks at pods", Setting, "the Pod Security defaults below", refused("privileged")},
		{"5.2.2", "Privileged containers are refused", Setting, restricted, refused("privileged")},
		{"5.2.3", "The host's processes are not shared", Setting, restricted, refused("host-pid")},
		{"5.2.4", "The host's IPC is not shared", Setting, restricted, refused("host-ipc")},
		{"5.2.5", "The host's network is not shared", Setting, restricted, refused("host-network")},
		{"5.2.6", "Containers cannot gain privileges", Setting, restricted, refused("escalation")},
		{"5.2.7", "Containers are not root", Setting, restricted, refused("root")},
		{"5.2.8", "Containers do not have NET_RAW", Setting, restricted, refused("net-raw")},
		{"5.2.9", "Containers have no capabilities", Setting, restricted, refused("capabilities")},
		{"5.2.10", "Windows' host processes are refused", Absent, "kelp's nodes run Linux", nil},
		{"5.2.11", "Pods have no directories of the host", Setting, restricted, refused("host-path")},
		{"5.2.12", "Pods have no ports of the host", Setting, restricted, refused("host-port")},
	}
}

// refused wants one of Pods not to be let in, and the modest one to be.
func refused(name string) Check {
	return func(e Evidence) error {
		if !e.Admitted["modest"] {
			return errors.New("a pod that asks for nothing is refused")
		}
		if admitted, tried := e.Admitted[name]; admitted || !tried {
			return fmt.Errorf("the pod %q is let in", name)
		}
		return nil
	}
}

func general() []Control {
	return []Control{
		{"5.3.1", "The network has NetworkPolicies", Passes, "[network policies](networking.md#network-policies)", policies},
		{"5.3.2", "Each namespace has some", Yours, "below is one to begin with", nil},
		{"5.4.1", "Secrets are files and not variables", Yours, "", nil},
		{"5.4.2", "Secrets may be kept elsewhere", Yours, "a key management service: `encryption-provider-config` among `args.apiserver`", nil},
		{"5.5.1", "Images are admitted by where they come from", Yours, "`ImagePolicyWebhook` with `admission-control-config-file`", nil},
		{"5.6.1", "Namespaces are boundaries", Yours, "", nil},
		{"5.6.2", "Pods have the runtime's seccomp profile", Passes, "", seccomp},
		{"5.6.3", "Pods have security contexts", Yours, "the packaged ones do", nil},
		{"5.6.4", "The default namespace is not used", Yours, "kelp puts nothing there", nil},
	}
}

// policies wants the component that enforces them to be ready.
func policies(e Evidence) error {
	if state := e.Components["network-policy"]; state != "ready" {
		return fmt.Errorf("the component network-policy is %q", state)
	}
	return nil
}
