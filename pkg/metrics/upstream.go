package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Shared is the name for what several components write into, and for what is of
// the process.
const Shared = "shared"

// prefixes say by the beginning of a metric's name whose it is. The first that
// fits counts, from above: the API server's own view of etcd comes before etcd.
var prefixes = func() (list []prefix) {
	for _, c := range []struct{ component, prefixes string }{
		{"apiserver", `aggregator_ apiextensions_ apiserver_ authenticated_ authentication_ authorization_ etcd_bookmark etcd_lease etcd_request
			field_validation_ konnectivity_ kube_apiserver_ node_authorizer_ pod_security_ serviceaccount_ watch_cache_`},
		{"controller-manager", `attachdetach_ clustertrustbundle_ cronjob_ device_taint_ endpoint_slice_ ephemeral_volume_ garbagecollector_ horizontal_pod_autoscaler_ job_
			node_collector_ node_ipam_ node_lifecycle_ persistentvolume pod_gc_ pv_collector_ replicaset_ resource_quota_ resourceclaim_
			retroactive_ root_ca_cert_ running_managed_ service_controller_ statefulset_ storage_count_ taint_eviction_ ttl_after_finished_
			volume_operation_`},
		{"scheduler", `scheduler_`},
		{"kubelet", `csi_ dra_ force_cleaned_ get_token_ kubelet_ plugin_manager_ prober_ reconstruct_volume_ storage_operation_ volume_manager_`},
		{"proxy", `kubeproxy_`},
		{"etcd", `etcd_ grpc_server_ os_fd_`},
		{"containerd", `container nri_ ttrpc_`},
	} {
		for _, p := range strings.Fields(c.prefixes) {
			list = append(list, prefix{c.component, p})
		}
	}
	return list
}()

type prefix struct{ component, prefix string }

// Components are the names that ?component= takes.
func Components() []string {
	names := []string{Shared}
	for _, p := range prefixes {
		if !slices.Contains(names, p.component) {
			names = append(names, p.component)
		}
	}
	slices.Sort(names)
	return names
}

// componentOf is the component that a metric is of.
func componentOf(metric string) string {
	for _, p := range prefixes {
		if strings.HasPrefix(metric, p.prefix) {
			return p.component
		}
	}
	return Shared
}

// upstream gathers the metrics of one component in this process from both
// registries that there are.
func upstream(component string) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := prometheus.Gatherers{legacyregistry.DefaultGatherer, prometheus.DefaultGatherer}.Gather()
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return componentOf(f.GetName()) != component }), err
	})
}
