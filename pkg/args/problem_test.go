package args

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Whoever knows where the user has written an argument says so, for each that is
// refused: by its name, or because its value cannot be read.
func TestLocate(t *testing.T) {
	t.Parallel()
	place := func(p *Problem) string {
		if p.Argument == "--event-ttl=soon" || p.Argument == "colour=blue" {
			return "config.yaml:7"
		}
		return ""
	}
	s := sample()
	refused := s.Merge([]string{"colour=blue", "insecure-port=0"}, knownSample)
	s = sample()
	if err := s.Merge([]string{"--event-ttl=soon"}, knownSample); err != nil {
		t.Fatal(err)
	}
	unread := s.Parse(func(argument string) error {
		if strings.HasPrefix(argument, "--event-ttl") {
			return errors.New("not a duration")
		}
		return nil
	})
	other := errors.New("something else")
	got := Locate(errors.Join(refused, unread, other), place)
	want := `config.yaml:7: kube-sample argument "colour=blue": there is no colour
kube-sample argument "insecure-port=0": insecure-port was removed in v1.24; use the one TLS port
config.yaml:7: kube-sample argument "--event-ttl=soon": not a duration
something else`
	if got == nil || got.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
	if Locate(nil, place) != nil {
		t.Error("nothing is wrong, and something is located")
	}
	if err := sample().Parse(func(string) error { return other }); err == nil || err.Error() != fmt.Sprint("kube-sample: ", other) {
		t.Errorf("a value of kelp's: %v", err)
	}
}

func TestGoneGate(t *testing.T) {
	t.Parallel()
	if err := GoneGate("PodSecurity"); err == nil || err.Error() != "feature gate PodSecurity was removed in v1.28: pod security admission is always on" {
		t.Errorf("%v", err)
	}
	if err := GoneGate("MemoryQoS"); err != nil {
		t.Error(err)
	}
}
