// Package pki is kelp's certificates as one table: authorities, leaves,
// keys and the kubeconfigs made from them. One engine plans from the table,
// the disk and the clock what to issue, and applies the plan.
package pki
