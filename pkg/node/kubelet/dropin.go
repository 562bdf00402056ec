package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/kelp-project/kelp/pkg/args"
	"github.com/kelp-project/kelp/pkg/internal/document"
)

// DropIn is one file of the user's.
type DropIn struct {
	Path string
	Data []byte
}

// ReadDropIns returns the *.conf files below dir in upstream's order, by
// path. A directory that does not exist has none.
func ReadDropIns(dir string) ([]DropIn, error) {
	if dir == "" {
		return nil, nil
	}
	var found []DropIn
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path == dir {
			return fs.SkipAll
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".conf" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found = append(found, DropIn{Path: path, Data: data})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read kubelet drop-ins: %w", err)
	}
	return found, nil
}

// Merge puts the drop-ins over base in their order, as JSON merge patches: a
// field replaces, a map is merged, null removes. Every problem of every file
// is reported, with file and line.
func Merge(base *kubeletv1beta1.KubeletConfiguration, dropIns []DropIn) (*kubeletv1beta1.KubeletConfiguration, error) {
	merged, err := json.Marshal(base)
	if err != nil {
		return nil, fmt.Errorf("write kubelet configuration: %w", err)
	}
	var own map[string]any
	if err := json.Unmarshal(merged, &own); err != nil {
		return nil, fmt.Errorf("read kubelet configuration: %w", err)
	}
	var docs []*document.Document
	var problems []error
	for _, d := range dropIns {
		doc, patch, errs := check(d, own)
		if problems = append(problems, errs...); patch == nil {
			continue
		}
		docs = append(docs, doc)
		if merged, err = jsonpatch.MergePatch(merged, patch); err != nil {
			return nil, fmt.Errorf("merge %s: %w", d.Path, err)
		}
	}
	out := &kubeletv1beta1.KubeletConfiguration{}
	if err := json.Unmarshal(merged, out); err != nil && len(problems) == 0 {
		return nil, fmt.Errorf("read merged kubelet configuration: %w", err)
	}
	if err := errors.Join(append(problems, checkReserved(out, docs))...); err != nil {
		return nil, err
	}
	return out, nil
}

// check reads one drop-in strictly and returns it also as JSON, which is nil where
// nothing can be made of it. Own is what kelp computes.
func check(d DropIn, own map[string]any) (*document.Document, []byte, []error) {
	doc, err := document.Parse(d.Path, d.Data)
	if err != nil {
		return nil, nil, []error{err}
	}
	if doc.APIVersion != kubeletv1beta1.SchemeGroupVersion.String() || doc.Kind != "KubeletConfiguration" {
		return nil, nil, []error{doc.Errorf("apiVersion", "apiVersion and kind must be %s and KubeletConfiguration", kubeletv1beta1.SchemeGroupVersion)}
	}
	given := &kubeletv1beta1.KubeletConfiguration{}
	errs := doc.Decode(given, removedFields)
	for _, f := range ownedFields {
		if doc.Has(f.field) && !same(doc.Value(f.field), valueAt(own, f.field)) {
			errs = append(errs, doc.Errorf(f.field, "%s is set by kelp; %s", f.field, f.advice))
		}
	}
	for _, gate := range slices.Sorted(maps.Keys(given.FeatureGates)) {
		if err := checkGate(gate, given.FeatureGates[gate]); err != nil {
			errs = append(errs, doc.Errorf("featureGates."+gate, "%w", err))
		}
	}
	asJSON, err := yaml.YAMLToJSON(d.Data)
	if err != nil {
		return nil, nil, append(errs, fmt.Errorf("%s: %w", d.Path, err))
	}
	return doc, asJSON, errs
}

// checkReserved wants the cgroups to which reservations are enforced. Upstream does
// so, too, and does not say where.
func checkReserved(merged *kubeletv1beta1.KubeletConfiguration, docs []*document.Document) error {
	var errs []error
	for _, r := range []struct{ key, cgroup, field string }{
		{"kube-reserved", merged.KubeReservedCgroup, "kubeReservedCgroup"},
		{"system-reserved", merged.SystemReservedCgroup, "systemReservedCgroup"},
	} {
		if r.cgroup != "" || !slices.Contains(merged.EnforceNodeAllocatable, r.key) {
			continue
		}
		for _, doc := range slices.Backward(docs) {
			if doc.Has("enforceNodeAllocatable") {
				errs = append(errs, doc.Errorf("enforceNodeAllocatable", "enforceNodeAllocatable: %s needs %s, the cgroup that may have no more; without it in the list the reservation is kept from pods all the same", r.key, r.field))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// same takes a zero value for one that is not given, as upstream does.
func same(given, own any) bool {
	return reflect.DeepEqual(given, own) || own == nil && (given == nil || reflect.ValueOf(given).IsZero())
}

func valueAt(tree map[string]any, field string) any {
	var at any = tree
	for step := range strings.SplitSeq(field, ".") {
		section, _ := at.(map[string]any)
		at = section[step]
	}
	return at
}

// checkGate says why a feature gate cannot be set so. Upstream's defaulting
// panics on one that is unknown or locked.
func checkGate(name string, on bool) error {
	if err := args.GoneGate(name); err != nil {
		return err
	}
	try := utilfeature.DefaultMutableFeatureGate.DeepCopy()
	if _, known := try.GetAll()[featuregate.Feature(name)]; !known {
		return fmt.Errorf("there is no feature gate %s", name)
	}
	if err := try.SetFromMap(map[string]bool{name: on}); err != nil {
		return fmt.Errorf("feature gate %s: %w", name, err)
	}
	return nil
}
