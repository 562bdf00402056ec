package args

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one argument of the user's that is refused.
type Problem struct {
	Component string // kube-apiserver
	Argument  string // as the user gave it
	Err       error  // what is the matter, and what to do
}

// Error names the component, the argument and what is the matter.
func (p *Problem) Error() string {
	return fmt.Sprintf("%s argument %q: %v", p.Component, p.Argument, p.Err)
}

// Unwrap returns what is the matter.
func (p *Problem) Unwrap() error { return p.Err }

// Problem says that the value of a key cannot be used, by naming the user's
// argument if it is his.
func (s *Set) Problem(key string, err error) error {
	if arg, ok := s.given[key]; ok {
		return &Problem{Component: s.component, Argument: arg, Err: err}
	}
	return fmt.Errorf("%s: %w", s.component, err)
}

// Parse gives the arguments one by one to a parser, each as --key=value, and tells which
// of them it cannot read.
func (s *Set) Parse(parse func(argument string) error) error {
	for _, arg := range s.Render() {
		if err := parse(arg); err != nil {
			key, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
			return s.Problem(key, err)
		}
	}
	return nil
}

// Locate puts in front of each Problem that err is, or joins, the place where the
// user has written the argument. A place that is empty is not known.
func Locate(err error, place func(*Problem) string) error {
	switch e := err.(type) {
	case *Problem:
		if at := place(e); at != "" {
			return fmt.Errorf("%s: %w", at, e)
		}
	case interface{ Unwrap() []error }:
		var located []error
		for _, one := range e.Unwrap() {
			located = append(located, Locate(one, place))
		}
		return errors.Join(located...)
	}
	return err
}
