package metrics

import "github.com/prometheus/client_golang/prometheus"

// Metric is one that kelp has of its own.
type Metric struct {
	Name   string
	Kind   string // gauge or counter
	Labels []string
	Help   string

	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Table lists all of them, in the order of their definition.
var Table []*Metric

func gauge(name, help string, labels ...string) *Metric {
	return add(&Metric{Name: name, Kind: "gauge", Labels: labels, Help: help, kind: prometheus.GaugeValue})
}

func counter(name, help string, labels ...string) *Metric {
	return add(&Metric{Name: name, Kind: "counter", Labels: labels, Help: help, kind: prometheus.CounterValue})
}

func add(m *Metric) *Metric {
	m.desc = prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
	Table = append(Table, m)
	return m
}

var (
	buildInfo  = gauge("kelp_build_info", "Always 1; the versions are labels.", "version", "kubernetes")
	starts     = counter("kelp_starts_total", "How often kelp has started on this machine since that has booted.")
	started    = gauge("kelp_start_timestamp_seconds", "When kelp has started.")
	readyAfter = gauge("kelp_ready_after_seconds", "How long the start took until every component was ready; there is none before that.")

	componentReady  = gauge("kelp_component_ready", "1 while a component is ready, or not run in this mode.", "component")
	componentState  = gauge("kelp_component_state", "Always 1; the state that a component is in is a label.", "component", "state")
	componentAfter  = gauge("kelp_component_ready_after_seconds", "How long a component took to become ready the first time.", "component")
	componentLapses = counter("kelp_component_lapses_total", "How often a component was ready and then was not.", "component")

	configurationValid    = gauge("kelp_configuration_valid", "1 when the configuration files, as they are now, are taken; 0 when they are refused.")
	configurationRestart  = gauge("kelp_configuration_restart_settings", "How many settings have been changed and need a restart.")
	configurationFailures = gauge("kelp_configuration_failures", "How many parts of kelp have not taken their new settings.")

	certificateLeft = gauge("kelp_certificate_left_seconds", "For how long a certificate or authority is valid still; negative when it has ended.", "certificate", "authority")

	joinRequests = counter("kelp_join_requests_total", "Requests of machines that join or have joined: what was asked for, and whether it was answered, refused or failed.", "request", "result")
	tokenUses    = counter("kelp_token_uses_total", "Uses of join tokens, by the role that they claim and the result.", "role", "result")

	snapshots        = gauge("kelp_snapshots", "How many good snapshots are on this server.")
	snapshotTime     = gauge("kelp_snapshot_newest_timestamp_seconds", "When the newest good snapshot of this server was made, 0 without one.")
	snapshotAge      = gauge("kelp_snapshot_newest_age_seconds", "How old the newest good snapshot of this server is, -1 without one.")
	snapshotSize     = gauge("kelp_snapshot_newest_size_bytes", "The size of the newest good snapshot of this server.")
	snapshotFailed   = gauge("kelp_snapshot_failed", "1 when the last scheduled snapshot of this server failed.")
	snapshotsMade    = counter("kelp_snapshots_made_total", "Scheduled snapshots that this server has made since kelp has started.")
	snapshotFailures = counter("kelp_snapshot_failures_total", "Scheduled snapshots of this server that failed since kelp has started.")
	snapshotTook     = gauge("kelp_snapshot_duration_seconds", "How long the last scheduled snapshot of this server took, 0 before one.")

	datastoreInfo     = gauge("kelp_datastore_info", "Always 1; the kind of the datastore is a label.", "kind")
	datastoreSize     = gauge("kelp_datastore_size_bytes", "The size of this server's database.")
	datastoreInUse    = gauge("kelp_datastore_in_use_bytes", "How much of this server's database holds something.")
	datastoreFragment = gauge("kelp_datastore_fragmentation_ratio", "Which part of this server's database holds nothing, from 0 to 1.")
	datastoreQuota    = gauge("kelp_datastore_quota_bytes", "The size from which etcd takes no writes.")
	datastoreAlarm    = gauge("kelp_datastore_alarm", "1 while the datastore is full and takes no writes.")
	diskFree          = gauge("kelp_datastore_disk_free_bytes", "What is free on the disk below the datastore.")
	diskSize          = gauge("kelp_datastore_disk_size_bytes", "The size of the disk below the datastore.")
	etcdHasLeader     = gauge("kelp_etcd_has_leader", "1 when this server's member of etcd knows a leader.")
	etcdMembers       = gauge("kelp_etcd_members", "Members of etcd, by whether they are voters or learners.", "role")

	leads             = gauge("kelp_leader", "1 on the server that runs what runs once in the cluster.")
	balancerWell      = gauge("kelp_balancer_server_healthy", "1 when a loopback balancer uses a server.", "balancer", "server")
	balancerConns     = gauge("kelp_balancer_connections", "Connections through a loopback balancer to a server.", "balancer", "server")
	tunnelConnections = gauge("kelp_tunnel_connections", "Connections between agents and servers at this end: of agents on a server, to servers on an agent.")
)
