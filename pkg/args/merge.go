package args

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Merge puts the user's arguments over the set's, each as "name=value", or
// "name" for a switch; a leading "--" is accepted, and so is the component's
// own name, with which the command of a pod begins. The function known tells
// which names the component has. All refused arguments are reported together,
// each as a Problem; the set is only of use when the error is nil.
func (s *Set) Merge(user []string, known func(name string) bool) error {
	var problems []error
	replaced := map[string]bool{}
	for _, arg := range user {
		if arg == s.component {
			continue
		}
		name, value, err := parse(arg, known)
		if err == nil {
			err = s.check(name, value, known)
		}
		if err != nil {
			problems = append(problems, &Problem{Component: s.component, Argument: arg, Err: err})
			continue
		}
		s.given[name] = arg
		s.merge(name, value, replaced)
	}
	slices.SortStableFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// parse splits one argument. Upstream takes underscores for dashes, save in
// the one flag that is named with them, so we do.
func parse(arg string, known func(string) bool) (name, value string, err error) {
	name, value, ok := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
	name = strings.TrimSpace(name)
	if !known(name) {
		name = strings.ReplaceAll(name, "_", "-")
	}
	switch {
	case name == "" || strings.HasPrefix(name, "-"):
		return "", "", errors.New("write it as name=value")
	case !ok:
		value = "true"
	}
	return name, value, nil
}

func (s *Set) check(name, value string, known func(string) bool) error {
	if e, ok := s.entries[name]; ok && e.Policy == PolicyOwned {
		if strings.Join(e.texts(), ",") == value {
			return nil // whoever asks for what is there gets it
		}
		return fmt.Errorf("%s is set by kelp; %s", name, e.Advice)
	}
	if r, ok := s.removed[name]; ok && r.Release == "" {
		return fmt.Errorf("%s is not for kelp: %s", name, r.Successor)
	} else if ok {
		return fmt.Errorf("%s was removed in %s; %s", name, r.Release, r.Successor)
	}
	if known(name) {
		return nil
	}
	if near := s.nearest(name, known); near != "" {
		return fmt.Errorf("there is no %s; did you mean %s?", name, near)
	}
	return fmt.Errorf("there is no %s", name)
}

func (s *Set) merge(name, value string, replaced map[string]bool) {
	e, ok := s.entries[name]
	switch {
	case !ok:
		e = &Entry{Key: name, Policy: PolicyDefault}
		s.entries[name] = e
		replaced[name] = true
	case e.Policy == PolicyOwned:
		return // check has seen that it is kelp's value
	case e.Policy == PolicyAppend:
		e.add(FromUser, strings.Split(value, ",")...)
		return
	case !replaced[name]:
		e.Replaced, e.Values = e.texts(), nil
		replaced[name] = true
	}
	// Repeated values stay: for flags that are lists, each is one item.
	e.Values = append(e.Values, Value{Text: value, Source: FromUser})
}
