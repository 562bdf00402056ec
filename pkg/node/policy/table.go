package policy

import (
	"maps"
	"net/netip"
	"slices"

	"sigs.k8s.io/knftables"
)

// tableName is the table that holds everything.
const tableName = "kelp_policy"

// replace fills a transaction that replaces the table by these rules.
func (r *rules) replace(tx *knftables.Transaction) {
	table := &knftables.Table{Comment: knftables.PtrTo("NetworkPolicies, by kelp")}
	tx.Add(table) // so that there is one to delete
	tx.Delete(table)
	tx.Add(table)
	for _, name := range slices.Sorted(maps.Keys(r.sets)) {
		s := r.sets[name]
		tx.Add(&knftables.Set{Name: name, Type: s.typ})
		for _, text := range slices.Sorted(maps.Keys(s.elements)) {
			tx.Add(&knftables.Element{Set: name, Key: s.elements[text]})
		}
	}
	chains := slices.Sorted(maps.Keys(r.chains))
	for _, name := range chains {
		tx.Add(&knftables.Chain{Name: name}) // all of them, before one jumps to another
	}
	for _, name := range chains {
		for _, rule := range r.chains[name] {
			tx.Add(&knftables.Rule{Chain: name, Rule: rule})
		}
	}
	for _, d := range directions {
		r.base(tx, d)
	}
}

// base adds the chain that the kernel calls for a direction, its maps, and what
// no policy can forbid. The two directions are in chains of their own: what one
// has accepted goes on to the other.
func (r *rules) base(tx *knftables.Transaction, d direction) {
	priority := knftables.FilterPriority
	if d.name == "egress" {
		priority += "-1"
	}
	tx.Add(&knftables.Chain{
		Name: d.name, Type: knftables.PtrTo(knftables.FilterType), Hook: knftables.PtrTo(knftables.ForwardHook), Priority: &priority,
		Comment: knftables.PtrTo("what a node itself sends to its pods, or gets from them, is not forwarded, and always allowed"),
	})
	tx.Add(&knftables.Rule{Chain: d.name, Rule: "ct state established,related accept"})
	// Pods on one bridge find each other with it, and it is forwarded there.
	tx.Add(&knftables.Rule{Chain: d.name, Rule: "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept"})
	for _, f := range families {
		self, pods := d.name+"-self-"+f.name, d.name+"-pods-"+f.name
		tx.Add(&knftables.Set{Name: self, Type: f.addresses + " . " + f.addresses, Comment: knftables.PtrTo("a pod can always reach itself")})
		tx.Add(&knftables.Map{Name: pods, Type: f.addresses + " : verdict"})
		for _, ip := range slices.SortedFunc(maps.Keys(r.pods[d.name]), netip.Addr.Compare) {
			if f.is(ip) {
				tx.Add(&knftables.Element{Set: self, Key: []string{ip.String(), ip.String()}})
				tx.Add(&knftables.Element{Map: pods, Key: []string{ip.String()}, Value: []string{"goto " + r.pods[d.name][ip]}})
			}
		}
		tx.Add(&knftables.Rule{Chain: d.name, Rule: f.protocol + " saddr . " + f.protocol + " daddr @" + self + " accept"})
		tx.Add(&knftables.Rule{Chain: d.name, Rule: f.protocol + " " + d.own + " vmap @" + pods})
	}
}

// remove fills a transaction that removes the table, if there is one.
func remove(tx *knftables.Transaction) {
	table := &knftables.Table{}
	tx.Add(table)
	tx.Delete(table)
}
