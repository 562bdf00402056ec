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
	"regexp"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
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
	var problems []error
	for _, d := range dropIns {
		patch, errs := check(d)
		if problems = append(problems, errs...); len(errs) > 0 {
			continue
		}
		if merged, err = jsonpatch.MergePatch(merged, patch); err != nil {
			return nil, fmt.Errorf("merge %s: %w", d.Path, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	out := &kubeletv1beta1.KubeletConfiguration{}
	if err := json.Unmarshal(merged, out); err != nil {
		return nil, fmt.Errorf("read merged kubelet configuration: %w", err)
	}
	return out, nil
}

// check reads one drop-in strictly and returns it as JSON.
func check(d DropIn) ([]byte, []error) {
	var head struct {
		APIVersion   string          `json:"apiVersion"`
		Kind         string          `json:"kind"`
		FeatureGates map[string]bool `json:"featureGates"`
	}
	if err := yaml.Unmarshal(d.Data, &head); err != nil {
		return nil, []error{fmt.Errorf("%s: %w", d.Path, err)}
	}
	if head.APIVersion != kubeletv1beta1.SchemeGroupVersion.String() || head.Kind != "KubeletConfiguration" {
		return nil, []error{fmt.Errorf("%s:1: apiVersion and kind must be %s and KubeletConfiguration", d.Path, kubeletv1beta1.SchemeGroupVersion)}
	}
	asJSON, err := yaml.YAMLToJSONStrict(d.Data)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", d.Path, err)}
	}
	unknown, err := kjson.UnmarshalStrict(asJSON, &kubeletv1beta1.KubeletConfiguration{})
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", d.Path, err)}
	}
	var errs []error
	for _, err := range unknown {
		errs = append(errs, explain(d, err))
	}
	for _, gate := range slices.Sorted(maps.Keys(head.FeatureGates)) {
		if err := checkGate(gate, head.FeatureGates[gate]); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", d.Path, lineOf(d.Data, gate), err))
		}
	}
	return asJSON, errs
}

var unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)

// explain adds to what the strict decoder says of a field its line and, for a
// field that people remember from elsewhere, its successor.
func explain(d DropIn, err error) error {
	field := unknownField.FindStringSubmatch(err.Error())
	if field == nil {
		return fmt.Errorf("%s: %w", d.Path, err)
	}
	name := field[1][strings.LastIndex(field[1], ".")+1:]
	what := fmt.Sprintf("KubeletConfiguration has no field %q", field[1])
	if successor, ok := removedFields[name]; ok {
		what = fmt.Sprintf("%s %s", field[1], successor)
	} else if near := nearestField(name); near != "" {
		what += fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Errorf("%s:%d: %s", d.Path, lineOf(d.Data, name), what)
}

// lineOf is the first line whose key is name, or 1.
func lineOf(data []byte, name string) int {
	key := regexp.MustCompile(`(?m)^[ \t"']*` + regexp.QuoteMeta(name) + `["']?[ \t]*:`)
	if at := key.FindIndex(data); at != nil {
		return 1 + strings.Count(string(data[:at[1]]), "\n")
	}
	return 1
}

// removedFields are names that people have in their files and that are no
// fields of the kubelet's, or no longer.
var removedFields = map[string]string{
	"metricsBindAddress":     "is a field of kube-proxy; the kubelet's metrics are on its own port",
	"podInfraContainerImage": "is gone; the pause image is embedded",
	"networkPlugin":          "is gone; the container runtime has the network plugins",
	"cniBinDir":              "is gone; plugins in /opt/cni/bin are found",
	"cniConfDir":             "is gone; use --network=none and /etc/cni/net.d",
	"cloudProvider":          "is gone; set the kubelet argument cloud-provider=external",
	"nodeLabels":             "is not a field; set node.labels",
	"hostnameOverride":       "is not a field; set node.name",
	"nodeIP":                 "is not a field; set node.ips",
}

// goneGates are feature gates that were removed once their feature was there
// for good, or was dropped.
var goneGates = map[string]string{
	"PodSecurity":          "was removed in v1.28: pod security admission is always on",
	"DynamicKubeletConfig": "was removed in v1.26: use drop-ins",
	"EphemeralContainers":  "was removed in v1.27: they are always on",
	"SeccompDefault":       "was removed in v1.29: use the field seccompDefault, which kelp sets",
}

// checkGate says why a feature gate cannot be set so. Upstream's defaulting
// panics on one that is unknown or locked.
func checkGate(name string, on bool) error {
	if why, gone := goneGates[name]; gone {
		return fmt.Errorf("feature gate %s %s", name, why)
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

// nearestField is the field whose name differs from name in case alone, or in
// a letter or two.
func nearestField(name string) string {
	t := reflect.TypeFor[kubeletv1beta1.KubeletConfiguration]()
	best, limit := "", 3
	for i := range t.NumField() {
		field, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if strings.EqualFold(field, name) {
			return field
		}
		if d := distance(field, name); d < limit {
			best, limit = field, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		previous := row[0]
		row[0] = i + 1
		for j := range b {
			above := row[j+1]
			cost := previous
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, above+1, row[j]+1)
			previous = above
		}
	}
	return row[len(b)]
}
