package args

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Source is who said a value.
type Source string

// The sources, from the weakest to the strongest.
const (
	FromDefault Source = "default" // a constant of kelp's
	FromConfig  Source = "config"  // follows from the configuration
	FromUser    Source = "user"    // the user's own argument
)

// Policy is what happens when the user gives a key that kelp has set.
type Policy string

// The policies. A key that only the user has set is PolicyDefault.
const (
	PolicyDefault Policy = "default"
	PolicyAppend  Policy = "append"
	PolicyOwned   Policy = "owned"
)

// Value is one value of an argument and who said it.
type Value struct {
	Text   string `json:"value"`
	Source Source `json:"source"`
}

// Entry is one argument of a component.
type Entry struct {
	Key    string  `json:"key"`
	Policy Policy  `json:"policy"`
	Values []Value `json:"values"`
	// Replaced are kelp's values that the user's took the place of.
	Replaced []string `json:"replaced,omitempty"`
	// Advice says what to do instead of setting an owned key.
	Advice string `json:"advice,omitempty"`
}

// Set is the arguments of one component. Fill it, merge the user's arguments
// into it, render it. It is not safe for concurrent use.
type Set struct {
	component string
	entries   map[string]*Entry
	removed   map[string]Removal
	given     map[string]string // the user's argument, by key
	suggest   []string
}

// Removal is a flag that upstream has dropped, or that has no place in kelp.
type Removal struct {
	Release   string // the release without it, such as v1.24; empty: kelp's choice
	Successor string // what to do instead, or why not
}

// NewSet returns an empty set for the component, whose name is used in
// errors: kube-apiserver.
func NewSet(component string) *Set {
	return &Set{component: component, entries: map[string]*Entry{}, removed: map[string]Removal{}, given: map[string]string{}}
}

// Component returns the name given to NewSet.
func (s *Set) Component() string { return s.component }

// Default sets a key to a constant of kelp's; the user's value replaces it.
func (s *Set) Default(key string, values ...string) {
	s.put(key, PolicyDefault, FromDefault, values)
}

// Config sets a key to what follows from the configuration; the user's value
// replaces it.
func (s *Set) Config(key string, values ...string) {
	s.put(key, PolicyDefault, FromConfig, values)
}

// Append sets a key to which the user's values are added. It may be called
// again for the same key.
func (s *Set) Append(key string, values ...string) {
	if e, ok := s.entries[key]; ok {
		e.add(FromDefault, values...)
		return
	}
	s.put(key, PolicyAppend, FromDefault, values)
}

// Owned sets a key that the user may not set; advice says what to do instead
// and completes the sentence "etcd-servers is set by kelp; …".
func (s *Set) Owned(key, value, advice string) {
	s.put(key, PolicyOwned, FromConfig, []string{value})
	s.entries[key].Advice = advice
}

// Removed refuses a key that upstream dropped in the release; successor says
// what to use instead.
func (s *Set) Removed(key, release, successor string) {
	s.removed[key] = Removal{Release: release, Successor: successor}
}

// Refused refuses a key that upstream has but that would break kelp; why
// completes the sentence "auto-tls is not for kelp: …".
func (s *Set) Refused(key, why string) { s.removed[key] = Removal{Successor: why} }

// Removals returns what was given to Removed and Refused, by key.
func (s *Set) Removals() map[string]Removal { return maps.Clone(s.removed) }

// Suggest adds names that an unknown argument is compared with, beside the
// set's own keys: the names of all the component's flags.
func (s *Set) Suggest(names ...string) { s.suggest = append(s.suggest, names...) }

// Get returns the values of a key, joined as they are rendered, and whether
// the key is set.
func (s *Set) Get(key string) (string, bool) {
	e, ok := s.entries[key]
	if !ok {
		return "", false
	}
	return strings.Join(e.texts(), ","), true
}

// Entries returns copies of all arguments, sorted by key.
func (s *Set) Entries() []Entry {
	out := make([]Entry, 0, len(s.entries))
	for _, e := range s.entries {
		c := *e
		c.Values = slices.Clone(e.Values)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Render returns the arguments as --key=value, sorted by key. Values of
// kelp's and appended ones are joined with commas; a key that the user gave
// more than once is repeated, as it would be on a command line.
func (s *Set) Render() []string {
	var out []string
	for _, e := range s.Entries() {
		if len(e.Values) > 0 && e.Policy == PolicyDefault && e.Values[0].Source == FromUser {
			for _, v := range e.Values {
				out = append(out, fmt.Sprintf("--%s=%s", e.Key, v.Text))
			}
			continue
		}
		out = append(out, fmt.Sprintf("--%s=%s", e.Key, strings.Join(e.texts(), ",")))
	}
	return out
}

func (s *Set) put(key string, policy Policy, source Source, values []string) {
	e := &Entry{Key: key, Policy: policy}
	e.add(source, values...)
	s.entries[key] = e
}

// add appends values, leaving out those that are there already.
func (e *Entry) add(source Source, values ...string) {
	for _, v := range values {
		if !slices.Contains(e.texts(), v) {
			e.Values = append(e.Values, Value{Text: v, Source: source})
		}
	}
}

func (e *Entry) texts() []string {
	out := make([]string, len(e.Values))
	for i, v := range e.Values {
		out[i] = v.Text
	}
	return out
}
