package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kelp-project/kelp/pkg/config"
)

const (
	// slowRead is a read that takes longer than it should: one takes a
	// millisecond, and etcd's members wait for one heartbeat of 100 ms at most.
	slowRead = 100 * time.Millisecond
	// slowFsync and slowCommit are what etcd's authors suggest as bounds for 99
	// of 100.
	slowFsync, slowCommit = 10 * time.Millisecond, 25 * time.Millisecond
	// slowPeers is half of the heartbeat.
	slowPeers = 50 * time.Millisecond
	// manyElections are more than joining servers and restarts explain.
	manyElections = 10
	// large is a database with which each restart and each snapshot takes long.
	large = 2 << 30
)

func slowest(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	return slices.Max(list)
}

// datastoreAnswers is about problem 4: etcd is slow.
func datastoreAnswers(e Evidence) []Answer {
	s := e.Store
	if !e.Server {
		return nil // an agent has none
	}
	if e.Status == nil && s.Err != "" && !s.External() {
		return []Answer{unknown(aboutDatastore, "it is a part of kelp, which "+silence(e))}
	}
	list := append(memberAnswers(s), alarmAnswers(s)...)
	if s.Err != "" {
		cause, next := s.Err, notAnswering(e)
		slow := slowDisk(e)
		switch {
		case s.Leaderless:
			cause = "etcd has no leader: most of its servers do not run, or cannot be reached from here"
		case len(slow) > 0 && !s.External():
			cause, next = strings.Join(slow, "; ")+"; "+s.Err, []string{seeDisk, "kelp check", logOf(e, aboutDatastore)}
		}
		return append(list, problem(aboutDatastore, "it does not answer", cause, next...))
	}
	list = append(list, paceAnswers(e)...)
	if s.Size > large {
		list = append(list, warning(aboutDatastore, fmt.Sprintf("the database has %d MB", s.Size>>20), "many, large, or often changed objects", "kelp kubectl get --raw /metrics | grep apiserver_resource_objects | sort -g -k2 | tail"))
	}
	if len(list) == 0 {
		list = append(list, good(aboutDatastore, "%s answers a read in %s%s", kindName(s.Kind), slowest(s.Reads).Round(10*time.Microsecond), fsyncText(s)))
	}
	return list
}

func kindName(k config.DatastoreKind) string {
	if k == config.DatastoreSQLite {
		return "SQLite"
	}
	return string(k)
}

func fsyncText(s Store) string {
	if s.Fsync == 0 {
		return ""
	}
	return fmt.Sprintf(", and 99 of 100 writes were on the disk within %s", s.Fsync.Round(100*time.Microsecond))
}

func notAnswering(e Evidence) []string {
	if e.Store.External() {
		return []string{"see that it runs, and can be reached from here", journal(e)}
	}
	if e.Store.Kind == config.DatastoreEtcd {
		return []string{"kelp etcd members", logOf(e, aboutDatastore), "when most of its servers are lost for good: kelp server --cluster-reset"}
	}
	return []string{logOf(e, aboutDatastore), "df -h " + e.Config.Paths().SQLite}
}

func memberAnswers(s Store) []Answer {
	var list []Answer
	voters, away := 0, 0
	for _, m := range s.Members {
		if !m.Learner {
			voters++
		}
		if m.Problem == "" {
			continue
		}
		if !m.Learner {
			away++
		}
		name := orElse(m.Name, "one that is joining")
		list = append(list, problem(aboutDatastore, fmt.Sprintf("etcd's member %s %s", name, m.Problem), "kelp on that server does not run, or cannot be reached", "on "+name+": kelp doctor"))
	}
	switch {
	case voters > 0 && away > voters/2:
		list = append(list, problem(aboutDatastore, fmt.Sprintf("etcd has no majority: %d of %d voters are away", away, voters), "", "start kelp on them; if they are lost for good, kelp server --cluster-reset on one that is left"))
	case voters > 0 && away > 0 && voters-away <= voters/2+1:
		list = append(list, warning(aboutDatastore, fmt.Sprintf("%d of etcd's %d voters are away: not one more may fail", away, voters), "", "kelp etcd members"))
	case voters == 2:
		list = append(list, warning(aboutDatastore, "etcd has two voters: when either fails, both do", "a change of servers is under way, or was left half done", "kelp etcd members", "join a third server"))
	}
	return list
}

func alarmAnswers(s Store) []Answer {
	var list []Answer
	for _, alarm := range s.Alarms {
		cause, next := "", "kelp etcd members"
		switch {
		case strings.Contains(alarm, "NOSPACE"):
			cause, next = "the database has reached its quota: it takes no writes", "delete what fills it; room is given back within a minute"
		case strings.Contains(alarm, "CORRUPT"):
			cause, next = "members have different data", "kelp snapshot save, then let the member that differs leave and join again"
		}
		list = append(list, problem(aboutDatastore, "etcd has raised the alarm "+alarm, cause, next))
	}
	return list
}

// seeDisk shows what else writes to a disk.
const seeDisk = "iostat -x 1"

// slowDisk is what says that the datastore waits for its disk.
func slowDisk(e Evidence) []string {
	s := e.Store
	var causes []string
	if s.Fsync > slowFsync {
		causes = append(causes, fmt.Sprintf("the disk is slow: 1 of 100 writes to etcd's log takes over %s, and it should be %s", s.Fsync.Round(100*time.Microsecond), slowFsync))
	}
	if s.Commit > slowCommit {
		causes = append(causes, fmt.Sprintf("the disk is slow: 1 of 100 commits takes over %s, and it should be %s", s.Commit.Round(100*time.Microsecond), slowCommit))
	}
	for _, a := range e.Host {
		if a.Subject == "disk speed" && a.Level == Warning && len(causes) == 0 {
			causes = append(causes, "the disk is slow: "+a.Text)
		}
	}
	return causes
}

// paceAnswers are about what is slow, and what makes it so.
func paceAnswers(e Evidence) []Answer {
	s := e.Store
	causes := slowDisk(e)
	if s.Peers > slowPeers {
		causes = append(causes, fmt.Sprintf("the network between servers is slow: a message takes %s", s.Peers.Round(time.Millisecond)))
	}
	cause := strings.Join(causes, "; ")
	next := []string{seeDisk, "kelp check"}
	var list []Answer
	switch slow := slowest(s.Reads); {
	case slow > slowRead:
		list = append(list, problem(aboutDatastore, fmt.Sprintf("it is slow: a read takes %s", slow.Round(time.Millisecond)), orElse(cause, "neither the disk nor the network is: the machine may have too little CPU, or clients ask for too much"), append(next, "top")...))
	case cause != "":
		list = append(list, warning(aboutDatastore, "it is slower than it should be", cause, next...))
	}
	if s.Elections > manyElections {
		list = append(list, warning(aboutDatastore, fmt.Sprintf("etcd's leader has changed %d times since this server started", s.Elections), orElse(cause, "a disk or a network that stalls, or servers that restart"), "kelp etcd members", logOf(e, "election")))
	}
	return list
}
