package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check refuses components that could never all become ready: without a
// name or a Run, with equal names, waiting for a name that is not there, or
// for each other. It returns all problems.
func check(components []Component) error {
	byName := map[string]Component{}
	var problems []error
	for _, c := range components {
		switch {
		case c.Name == "":
			problems = append(problems, errors.New("a component has no name"))
		case c.Run == nil && c.Skip == "":
			problems = append(problems, fmt.Errorf("component %q has nothing to run", c.Name))
		}
		if _, twice := byName[c.Name]; twice {
			problems = append(problems, fmt.Errorf("two components are named %q", c.Name))
		}
		byName[c.Name] = c
	}
	for _, c := range components {
		for _, after := range c.After {
			if _, ok := byName[after]; !ok {
				problems = append(problems, fmt.Errorf("component %q waits for %q, which does not exist", c.Name, after))
			}
		}
	}
	if loop := findLoop(components, byName); loop != nil {
		problems = append(problems, fmt.Errorf("components wait for each other: %s", strings.Join(loop, " → ")))
	}
	return errors.Join(problems...)
}

// findLoop returns the names on a loop of After, the first one again at the
// end, and nil when there is none.
func findLoop(components []Component, byName map[string]Component) []string {
	done := map[string]bool{}
	var path []string
	var walk func(name string) []string
	walk = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		if done[name] {
			return nil
		}
		path = append(path, name)
		for _, after := range byName[name].After {
			if loop := walk(after); loop != nil {
				return loop
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		return nil
	}
	for _, c := range components {
		if loop := walk(c.Name); loop != nil {
			return loop
		}
	}
	return nil
}

// Order renders the start order for people and golden files: a line per
// component, each with what it waits for, in waves that start side by side.
func Order(components []Component) (string, error) {
	if err := check(components); err != nil {
		return "", err
	}
	byName := map[string]Component{}
	for _, c := range components {
		byName[c.Name] = c
	}
	wave := map[string]int{}
	var depth func(name string) int
	depth = func(name string) int {
		if d, ok := wave[name]; ok {
			return d
		}
		d := 0
		for _, after := range byName[name].After {
			d = max(d, depth(after)+1)
		}
		wave[name] = d
		return d
	}
	lines := make([]string, 0, len(components))
	for _, c := range components {
		line := fmt.Sprintf("%d %s", depth(c.Name), c.Name)
		if c.Once {
			line += " (once)"
		}
		if len(c.After) > 0 {
			line += " ← " + strings.Join(c.After, ", ")
		}
		if c.Skip != "" {
			line += " (skipped: " + c.Skip + ")"
		}
		lines = append(lines, line)
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	return strings.Join(lines, "\n") + "\n", nil
}
