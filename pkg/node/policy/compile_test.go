package policy

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/knftables"
	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/internal/golden"
)

// cluster is two namespaces with a few pods, some of them on this node.
func cluster() World {
	ip := func(texts ...string) (list []netip.Addr) {
		for _, text := range texts {
			list = append(list, netip.MustParseAddr(text))
		}
		return list
	}
	web := []Port{{"web", corev1.ProtocolTCP, 8080}, {"dns", corev1.ProtocolUDP, 5353}}
	return World{
		Namespaces: map[string]map[string]string{"shop": {"team": "a"}, "tools": {"team": "b"}},
		Pods: []Pod{
			{Namespace: "shop", Name: "front", Labels: map[string]string{"app": "front"}, IPs: ip("10.42.0.10", "fd42::10"), Ports: web, Local: true},
			{Namespace: "shop", Name: "back", Labels: map[string]string{"app": "back"}, IPs: ip("10.42.0.11"), Ports: []Port{{"web", corev1.ProtocolTCP, 9090}}, Local: true},
			{Namespace: "shop", Name: "elsewhere", Labels: map[string]string{"app": "front"}, IPs: ip("10.42.1.10", "fd42:1::10"), Ports: web},
			{Namespace: "tools", Name: "probe", Labels: map[string]string{"app": "probe"}, IPs: ip("10.42.1.20"), Ports: web},
			{Namespace: "tools", Name: "starting", Labels: map[string]string{"app": "probe"}, Local: true},
		},
	}
}

// with adds policies in YAML, as the API server completes them.
func (w World) with(t *testing.T, texts ...string) World {
	t.Helper()
	for _, text := range texts {
		p := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte(text), p); err != nil {
			t.Fatal(err)
		}
		if len(p.Spec.PolicyTypes) == 0 {
			p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			if len(p.Spec.Egress) > 0 {
				p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
			}
		}
		w.Policies = append(w.Policies, p)
	}
	return w
}

// dump is the table as nft would hold it; the fake refuses what refers to
// nothing, or comes twice.
func dump(t *testing.T, r *rules) string {
	t.Helper()
	nft := knftables.NewFake(knftables.InetFamily, tableName)
	for range 2 { // again, over what is there
		tx := nft.NewTransaction()
		r.replace(tx)
		if err := nft.Run(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	return nft.Dump()
}

const denyAll = `{metadata: {namespace: shop, name: deny-all}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}`

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, policies := range map[string][]string{
		"none":     nil,
		"deny-all": {denyAll},
		// Another namespace's, and one that selects pods of other nodes only.
		"not-ours": {
			`{metadata: {namespace: empty, name: deny}, spec: {podSelector: {}}}`,
			`{metadata: {namespace: tools, name: deny}, spec: {podSelector: {matchLabels: {app: nothing}}}}`,
		},
		"peers": {denyAll, `
metadata: {namespace: shop, name: peers}
spec:
  podSelector: {matchLabels: {app: front}}
  ingress:
  - from:
    - podSelector: {matchLabels: {app: back}}
    - namespaceSelector: {matchLabels: {team: b}}
      podSelector: {matchExpressions: [{key: app, operator: In, values: [probe]}]}
    - ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.16/28, 192.0.2.1/32]}
    - ipBlock: {cidr: "2001:db8::/32"}
  - from: [{namespaceSelector: {matchLabels: {team: nobody}}}]
`},
		"ports": {`
metadata: {namespace: shop, name: ports}
spec:
  podSelector: {}
  ingress:
  - ports: [{port: 80}, {protocol: UDP}, {port: 8000, endPort: 8010}, {protocol: SCTP, port: 7}, {port: web}, {port: dns, protocol: UDP}, {port: missing}]
  - from: [{podSelector: {matchLabels: {app: back}}}]
    ports: [{port: web}, {port: 81}]
`},
		"egress": {`
metadata: {namespace: shop, name: egress}
spec:
  podSelector: {matchLabels: {app: front}}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {}}]
    ports: [{port: 53, protocol: UDP}, {port: web}]
  - to: [{ipBlock: {cidr: 0.0.0.0/0}}]
    ports: [{port: web}, {port: 443}]
  - ports: [{port: dns, protocol: UDP}]
`},
		"all-allowed": {`{metadata: {namespace: shop, name: all}, spec: {podSelector: {}, ingress: [{}], egress: [{}], policyTypes: [Ingress, Egress]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden.Check(t, name+".nft", []byte(dump(t, compile(cluster().with(t, policies...)))))
		})
	}
}

// The longest names that the API takes are no longer than nft takes, and two
// that begin alike stay apart.
func TestLongNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 253)
	a, b := named("ingress", "shop", long+"a"), named("ingress", "shop", long+"b")
	if a == b || len(a) > nameLimit {
		t.Errorf("%s and %s", a, b)
	}
	name := strings.Repeat("p", 253)
	dump(t, compile(cluster().with(t, `
metadata: {namespace: shop, name: `+name+`}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: web}]}]}
`)))
}

// A pod that the API does not know yet counts once containerd has told of it,
// and until the API knows its address or it has gone.
func TestPodsThatWait(t *testing.T) {
	t.Parallel()
	e := New(testConfig(), Inputs{})
	pod := Pod{Namespace: "shop", Name: "new", Labels: map[string]string{"app": "front"}, IPs: []netip.Addr{netip.MustParseAddr("10.42.0.12")}, Local: true}
	e.waiting["sandbox"] = pod
	if got := e.withWaiting(nil); len(got) != 1 || got[0].Name != "new" {
		t.Errorf("before the API knows it: %v", got)
	}
	if got := e.withWaiting([]Pod{{Namespace: "shop", Name: "new"}}); len(got) != 2 {
		t.Errorf("the API knows no address of it: %v", got)
	}
	if got := e.withWaiting([]Pod{pod}); len(got) != 1 || len(e.waiting) != 0 {
		t.Errorf("the API knows it: %v", got)
	}
	e.waiting["sandbox"] = pod
	if e.forget("sandbox"); len(e.waiting) != 0 {
		t.Error("it is remembered when it has gone")
	}
}
