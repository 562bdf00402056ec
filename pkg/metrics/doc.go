// Package metrics is what kelp tells of itself in Prometheus' text form, and how
// the metrics of the components in the same process are told apart.
//
// Table lists every metric of kelp's own: name, help and labels are there and
// nowhere else, and docs/metrics.md has it. The numbers come from Sources, which
// a role fills in with what it has; nothing is counted in here.
//
// What upstream makes difficult: every Kubernetes component registers in one
// global registry, so in one process each of their endpoints tells of all of
// them, and etcd and containerd register in another. Upstream sorts both by the
// names of the metrics.
package metrics
