package etcd

const (
	ownLogs  = "logs are kelp's; set log.level and log.format"
	ownCerts = "its certificates are kelp's: see kelp certificate"
	anyCert  = "every certificate of the etcd authority is served"
	ownPeers = "members are found by kelp"
)

// refused are flags of etcd that make no sense here, and why.
var refused = map[string]string{
	"auto-tls":                     ownCerts,
	"client-cert-allowed-hostname": anyCert,
	"client-cert-file":             ownCerts,
	"client-key-file":              ownCerts,
	"cors":                         "there is no HTTP gateway to which it would apply",
	"discovery-endpoints":          ownPeers,
	"discovery-srv":                ownPeers,
	"discovery-token":              ownPeers,
	"enable-log-rotation":          ownLogs,
	"enable-pprof":                 "set debug instead",
	"force-new-cluster":            "it would drop the other members at each start",
	"host-whitelist":               "only clients with a certificate are served",
	"listen-metrics-urls":          "metrics are on a socket that only root can read",
	"log-format":                   ownLogs,
	"log-level":                    ownLogs,
	"log-outputs":                  ownLogs,
	"log-rotation-config-json":     ownLogs,
	"logger":                       ownLogs,
	"peer-auto-tls":                ownCerts,
	"peer-cert-allowed-cn":         anyCert,
	"peer-cert-allowed-hostname":   anyCert,
	"peer-client-cert-file":        ownCerts,
	"peer-client-key-file":         ownCerts,
	"self-signed-cert-validity":    ownCerts,
	"unsafe-no-fsync":              "it loses acknowledged writes",
}

// renamed are the flags of etcd 3.5 and 3.6 that lost their experimental-
// prefix: what is left of the name is the flag of today.
var renamed = []string{
	"bootstrap-defrag-threshold-megabytes", "compact-hash-check-time", "compaction-batch-limit",
	"compaction-sleep-interval", "corrupt-check-time", "distributed-tracing-address",
	"distributed-tracing-instance-id", "distributed-tracing-sampling-rate", "distributed-tracing-service-name",
	"downgrade-check-time", "enable-distributed-tracing", "max-learners", "memory-mlock",
	"peer-skip-client-san-verification", "snapshot-catchup-entries", "warning-apply-duration",
	"warning-unary-request-duration", "watch-progress-notify-interval",
}

// gated are the flags that became feature gates.
var gated = map[string]string{
	"experimental-compact-hash-check-enabled":        "CompactHashCheck",
	"experimental-enable-lease-checkpoint":           "LeaseCheckpoint",
	"experimental-enable-lease-checkpoint-persist":   "LeaseCheckpointPersist",
	"experimental-initial-corrupt-check":             "InitialCorruptCheck",
	"experimental-stop-grpc-service-on-defrag":       "StopGRPCServiceOnDefrag",
	"experimental-txn-mode-write-with-shared-buffer": "TxnModeWriteWithSharedBuffer",
	"experimental-set-member-localaddr":              "SetMemberLocalAddr",
}
