package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/pki"
	"github.com/kelp-project/kelp/pkg/supervisor"
)

// What answers are about.
const (
	aboutKelp         = "kelp"
	aboutCertificates = "certificates"
	aboutDatastore    = "datastore"
	aboutAPI          = "api"
	aboutControllers  = "controllers"
	aboutNodes        = "nodes"
	aboutNetwork      = "network"
	aboutDNS          = "dns"
	aboutPods         = "pods"
	aboutManifests    = "manifests"
	aboutSnapshots    = "snapshots"
)

// Diagnose says what is the matter. It is a function of the evidence alone.
func Diagnose(e Evidence) Report {
	r := Report{Node: e.Config.Node.Name, Time: e.Now}
	r.Answers = append(r.Answers, e.Host...)
	for _, ask := range []func(Evidence) []Answer{kelp, certificates, datastoreAnswers, api} {
		r.Answers = append(r.Answers, ask(e)...)
	}
	if !e.API.Answers() {
		r.Answers = append(r.Answers, unknown("cluster", "nodes, pods, controllers, DNS and the network could not be asked for: the API does not answer"))
		return r
	}
	for _, ask := range []func(Evidence) []Answer{controllers, nodes, network, dnsAnswers, pods, manifests, snapshotAnswers, unseen} {
		r.Answers = append(r.Answers, ask(e)...)
	}
	return r
}

// kelp is about the process itself.
func kelp(e Evidence) []Answer {
	var list []Answer
	if e.Broken != "" {
		list = append(list, problem(aboutKelp, "the configuration is refused", e.Broken, "correct it; kelp config show says what is meant"))
	}
	if e.Status == nil {
		return append(list, stopped(e))
	}
	st := *e.Status
	for _, c := range st.Components {
		if c.OK() || c.State == supervisor.Waiting {
			continue
		}
		cause := c.LastError
		if cause == "" && c.State == supervisor.Starting {
			cause = "it is starting, since " + short(e.Now.Sub(c.Since))
		}
		list = append(list, problem(aboutKelp, fmt.Sprintf("component %s is %s", c.Name, c.State), cause, logOf(e, c.Name)))
	}
	if len(list) == 0 && !st.Ready {
		list = append(list, problem(aboutKelp, "it is not ready", st.Line(e.Now), "kelp status"))
	}
	if restarts := restarts(e.Unit); restarts > 2 && e.Now.Sub(st.Started) < time.Hour {
		list = append(list, warning(aboutKelp, fmt.Sprintf("systemd has restarted it %d times", restarts), lastError(e.Unit), journal(e)))
	}
	if len(list) == 0 {
		list = append(list, good(aboutKelp, "%s runs since %s, and each of its %d components is ready", st.Version, short(e.Now.Sub(st.Started)), len(st.Components)))
	}
	return list
}

// stopped is why kelp does not run.
func stopped(e Evidence) Answer {
	u := e.Unit
	text := "it does not run"
	switch {
	case e.StatusErr != "" && e.StatusErr != ErrNotRunning.Error():
		text = "it does not say how it is: " + e.StatusErr
	case u.Name == "":
		return problem(aboutKelp, text, "no systemd unit starts it, and nobody else has", "kelp server, or kelp agent")
	}
	switch {
	case u.Active == "activating":
		return problem(aboutKelp, text, orElse(lastError(u), "it is being started, and has not come far"), journal(e))
	case u.Active == "failed":
		return problem(aboutKelp, text, orElse(lastError(u), "it has ended: "+u.Result), journal(e), "systemctl start "+u.Name)
	case u.Active == "active":
		return problem(aboutKelp, text, "the unit runs, and nobody answers on the status socket", journal(e), "systemctl restart "+u.Name)
	case lastError(u) != "":
		return problem(aboutKelp, text, "it was stopped; before that: "+lastError(u), "systemctl start "+u.Name, journal(e))
	}
	return problem(aboutKelp, text, "somebody has stopped it, or it was never started", "systemctl start "+u.Name)
}

// silence is in a few words what keeps kelp from saying how it is.
func silence(e Evidence) string {
	if e.StatusErr == "" || e.StatusErr == ErrNotRunning.Error() {
		return "does not run"
	}
	return "runs, and does not say how it is"
}

func restarts(u Unit) int {
	n := 0
	_, _ = fmt.Sscan(u.Restarts, &n) // none is 0
	return n
}

func lastError(u Unit) string {
	if len(u.Errors) == 0 {
		return ""
	}
	return u.Errors[len(u.Errors)-1]
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func journal(e Evidence) string {
	if e.Unit.Name == "" {
		return "see what kelp has logged"
	}
	return "journalctl -u " + e.Unit.Name + " -n 50"
}

// restartServer is how the unit of a server is started anew.
func restartServer(e Evidence) string {
	if e.Server {
		return "systemctl restart " + orElse(e.Unit.Name, unitOf(true))
	}
	return "on a server: systemctl restart " + unitOf(true)
}

// logOf is the command for what a component has logged: a field of each line.
func logOf(e Evidence, component string) string {
	if e.Unit.Name == "" {
		return "see what kelp has logged of " + component
	}
	return fmt.Sprintf("journalctl -u %s -n 500 | grep %s", e.Unit.Name, component)
}

// soonEnding is how many days a certificate has left when somebody is told. kelp
// renews them when a third of their life is left, which is far more.
const soonEnding = 30

// authorityEnding is the same for authorities, which are changed by hand.
const authorityEnding = 180

func certificates(e Evidence) []Answer {
	if e.CertificatesErr != "" {
		return []Answer{problem(aboutCertificates, "they cannot be read", e.CertificatesErr, "ls -l "+e.Config.Paths().TLS)}
	}
	var list []Answer
	first := -1
	for i, c := range e.Certificates {
		authority := c.Authority == ""
		switch {
		case c.Damaged != "" && !authority: // of an authority the machine's checks tell
			list = append(list, problem(aboutCertificates, c.Name+" is damaged", c.Damaged, "kelp certificate rotate "+c.Name))
			continue
		case c.NotAfter.IsZero():
			continue // an agent has but some, and a missing one is made at the start
		case c.DaysLeft < 0 && authority:
			list = append(list, problem(aboutCertificates, fmt.Sprintf("the authority %s has ended, %d days ago", c.Name, -c.DaysLeft), "", "kelp certificate rotate-ca"))
		case c.DaysLeft < 0:
			list = append(list, problem(aboutCertificates, fmt.Sprintf("%s has ended, %d days ago", c.Name, -c.DaysLeft), renews(e), "kelp certificate rotate "+c.Name))
		case authority && c.DaysLeft < authorityEnding:
			list = append(list, warning(aboutCertificates, fmt.Sprintf("the authority %s ends in %d days", c.Name, c.DaysLeft), "authorities are not renewed by themselves", "kelp certificate rotate-ca"))
		case !authority && c.DaysLeft < soonEnding:
			list = append(list, warning(aboutCertificates, fmt.Sprintf("%s ends in %d days", c.Name, c.DaysLeft), renews(e), "kelp certificate rotate "+c.Name))
		case c.NotBefore.After(e.Now):
			list = append(list, problem(aboutCertificates, fmt.Sprintf("%s is valid from %s on", c.Name, c.NotBefore.Format(time.DateTime)), "the clock of this machine is behind", "timedatectl"))
		}
		if !authority && (first < 0 || c.NotAfter.Before(e.Certificates[first].NotAfter)) {
			first = i
		}
	}
	if len(list) == 0 && first >= 0 {
		c := e.Certificates[first]
		list = append(list, good(aboutCertificates, "the first one that ends is %s, in %d days", c.Name, c.DaysLeft))
	}
	return list
}

// renews is why a certificate was not renewed in time.
func renews(e Evidence) string {
	if e.Status == nil {
		return "kelp renews certificates while it runs and at its start, and it " + silence(e)
	}
	for _, c := range e.Status.Components {
		if c.Name == "renewal" && c.LastError != "" {
			return c.LastError
		}
	}
	return ""
}

// api is problem 1 of those that people have: the API does not respond.
func api(e Evidence) []Answer {
	url := e.API.URL
	switch {
	case e.API.Answers():
		return answering(e)
	case e.Status == nil:
		return []Answer{problem(aboutAPI, "it does not answer", "kelp "+silence(e), "see kelp, above")}
	case url == "":
		return []Answer{problem(aboutAPI, "it cannot be asked", e.API.Err, "kelp status")}
	}
	cause, next := e.API.Err, []string{"kelp status", journal(e)}
	switch waiting := missing(e.Status.Snapshot); {
	case !e.Server:
		cause, next = "no server of the cluster answers: "+e.API.Err, []string{"kelp doctor, on a server", "see that the servers' port can be reached from here: nc -vz SERVER 6443"}
	case e.Store.Err != "":
		cause, next = "the datastore does not answer: "+e.Store.Err, []string{"see the datastore, above"}
	case expired(e) != "":
		cause, next = "the certificate "+expired(e)+" has ended", []string{"kelp certificate rotate " + expired(e)}
	case waiting != "":
		cause = "it waits for " + waiting
	case len(e.API.Failed) > 0:
		cause = "its own checks fail: " + strings.Join(e.API.Failed, ", ")
	}
	return []Answer{problem(aboutAPI, url+" does not answer", cause, next...)}
}

// slowAPI is an answer that people notice.
const slowAPI = time.Second

func answering(e Evidence) []Answer {
	took := max(e.API.Took, e.API.Lists)
	switch {
	case len(e.API.Failed) > 0:
		return []Answer{problem(aboutAPI, "it answers, and its own checks fail: "+strings.Join(e.API.Failed, ", "), e.Store.Err, "kelp kubectl get --raw '/readyz?verbose'", logOf(e, "apiserver"))}
	case took > slowAPI:
		return []Answer{warning(aboutAPI, fmt.Sprintf("it answers slowly: a request took %s", took.Round(time.Millisecond)), slowCause(e), "kelp kubectl get --raw /metrics | grep apiserver_current_inflight_requests", "top")}
	}
	return []Answer{good(aboutAPI, "%s answers in %s", e.API.URL, took.Round(time.Millisecond))}
}

func slowCause(e Evidence) string {
	if slowest(e.Store.Reads) > slowRead {
		return "the datastore is slow"
	}
	return "the datastore is not: the machine may have too little CPU, or a client asks for too much"
}

// missing are the components that the API server comes after and that are not
// ready.
func missing(s supervisor.Snapshot) string {
	for _, c := range s.Components {
		if c.Name == "apiserver" {
			return strings.Join(c.WaitingFor, ", ")
		}
	}
	return ""
}

func expired(e Evidence) string {
	i := slices.IndexFunc(e.Certificates, func(c pki.Status) bool { return !c.NotAfter.IsZero() && c.NotAfter.Before(e.Now) })
	if i < 0 {
		return ""
	}
	return e.Certificates[i].Name
}

// External says that the datastore is none of kelp's.
func (s Store) External() bool { return s.Kind == config.DatastoreExternal }
