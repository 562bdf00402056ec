package scheduler

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	configv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"

	"github.com/kelp-project/kelp/pkg/internal/document"
)

// goneVersions are the versions of the KubeSchedulerConfiguration that upstream reads
// no more, and the release without them.
var goneVersions = map[string]string{
	"kubescheduler.config.k8s.io/v1alpha1": "v1.19",
	"kubescheduler.config.k8s.io/v1beta1":  "v1.23",
	"kubescheduler.config.k8s.io/v1beta2":  "v1.28",
	"kubescheduler.config.k8s.io/v1beta3":  "v1.29",
}

// gonePlugins are plugins that guides name and that went with v1beta1. Upstream says
// nothing of one that is only disabled.
var gonePlugins = map[string]string{
	"NodeResourcesLeastAllocated": "set scoringStrategy.type of NodeResourcesFit to LeastAllocated, which is its default",
	"NodeResourcesMostAllocated":  "set scoringStrategy.type of NodeResourcesFit to MostAllocated",
	"RequestedToCapacityRatio":    "set scoringStrategy.type of NodeResourcesFit to RequestedToCapacityRatio",
}

// goneFields are fields of former versions.
var goneFields = map[string]string{
	"healthzBindAddress":             "is gone; health and metrics are on the argument secure-port",
	"metricsBindAddress":             "is gone; health and metrics are on the argument secure-port",
	"algorithmSource":                "is gone; use profiles",
	"hardPodAffinitySymmetricWeight": "is gone; set hardPodAffinityWeight in the pluginConfig of InterPodAffinity",
}

// check finds what is wrong with a user's KubeSchedulerConfiguration.
func check(doc *document.Document) []error {
	var errs []error
	want := configv1.SchemeGroupVersion.String()
	switch release, gone := goneVersions[doc.APIVersion]; {
	case gone:
		errs = append(errs, doc.Errorf("apiVersion", "%s was removed in %s; write %s", doc.APIVersion, release, want))
	case doc.APIVersion != want || doc.Kind != "KubeSchedulerConfiguration":
		return []error{doc.Errorf("apiVersion", "apiVersion and kind must be %s and KubeSchedulerConfiguration", want)}
	}
	given := &configv1.KubeSchedulerConfiguration{}
	strict := doc.Decode(given, goneFields)
	errs = append(errs, strict...)
	if doc.Has("clientConnection.kubeconfig") {
		errs = append(errs, doc.Errorf("clientConnection.kubeconfig", "clientConnection.kubeconfig is set by kelp; its certificates are kelp's: see kelp certificate"))
	}
	if doc.Has("leaderElection") && doc.Value("leaderElection.leaderElect") != false {
		errs = append(errs, doc.Errorf("leaderElection", "leaderElection is set by kelp; one lease of kelp's decides for all components on which server they run"))
	}
	for i, p := range given.Profiles {
		at := fmt.Sprintf("profiles[%d]", i)
		errs = append(errs, checkPlugins(doc, at, p.Plugins)...)
		for j, c := range p.PluginConfig {
			args := fmt.Sprintf("%s.pluginConfig[%d].args", at, j)
			if c.Name == "PodTopologySpread" && doc.Has(args+".defaultConstraints") && doc.Value(args+".defaultingType") != "List" {
				errs = append(errs, doc.Errorf(args+".defaultConstraints", "defaultConstraints are only read with defaultingType: List beside them"))
			}
		}
	}
	return errs
}

// checkPlugins wants every plugin that is enabled or disabled to exist.
func checkPlugins(doc *document.Document, at string, given *configv1.Plugins) []error {
	if given == nil {
		return nil
	}
	known := plugins.NewInTreeRegistry()
	var errs []error
	points := reflect.ValueOf(*given)
	for n := range points.NumField() {
		set, ok := points.Field(n).Interface().(configv1.PluginSet)
		if !ok {
			continue
		}
		point, _, _ := strings.Cut(points.Type().Field(n).Tag.Get("json"), ",")
		for side, list := range map[string][]configv1.Plugin{"enabled": set.Enabled, "disabled": set.Disabled} {
			for i, p := range list {
				field := fmt.Sprintf("%s.plugins.%s.%s[%d]", at, point, side, i)
				if successor, gone := gonePlugins[p.Name]; gone {
					errs = append(errs, doc.Errorf(field, "plugin %s was removed in v1.23; %s", p.Name, successor))
				} else if _, exists := known[p.Name]; !exists && p.Name != "*" && p.Name != "" {
					errs = append(errs, doc.Errorf(field, "the scheduler has no plugin %q", p.Name))
				}
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// validate has upstream read the completed document and say what it thinks of it.
func validate(completed []byte) error {
	object, _, err := scheme.Codecs.UniversalDecoder().Decode(completed, nil, nil)
	if err != nil {
		return err
	}
	given, ok := object.(*config.KubeSchedulerConfiguration)
	if !ok {
		return fmt.Errorf("it is a %T", object)
	}
	given.APIVersion = configv1.SchemeGroupVersion.String()
	if problems := validation.ValidateKubeSchedulerConfiguration(given); problems != nil {
		return problems
	}
	return nil
}
