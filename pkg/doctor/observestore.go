package doctor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/datastore/voters"
)

// reads is how often the datastore is read from; the slowest one counts.
const reads = 5

// observeStore asks the datastore, beside the API.
func observeStore(ctx context.Context, cfg config.Config) Store {
	s := Store{Kind: datastore.Kind(cfg)}
	if s.Kind == config.DatastoreSQLite {
		if _, err := os.Stat(cfg.Paths().KineSocket); err != nil {
			s.Err = "nobody serves it: kelp does not run, or is starting"
			return s
		}
		if info, err := os.Stat(cfg.Paths().SQLiteFile); err == nil {
			s.Size = info.Size()
		}
	}
	client, err := datastore.New(cfg).Client()
	if err != nil {
		s.Err = err.Error()
		return s
	}
	defer client.Close()
	for range reads {
		began := time.Now()
		if err := datastore.Probe(ctx, client); err != nil {
			s.Err = err.Error()
			break
		}
		s.Reads = append(s.Reads, time.Since(began))
	}
	if s.Kind == config.DatastoreEtcd {
		s.etcd(ctx, cfg, client)
	}
	return s
}

// etcd asks for what only etcd has.
func (s *Store) etcd(ctx context.Context, cfg config.Config, client *clientv3.Client) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if members, err := voters.Observe(ctx, client); err == nil {
		s.Members = members
		for _, m := range members {
			s.Size = max(s.Size, m.DBSize)
		}
	}
	if s.Err == "" { // without a majority there is no answer
		if alarms, err := client.AlarmList(ctx); err == nil {
			for _, a := range alarms.Alarms {
				s.Alarms = append(s.Alarms, a.Alarm.String())
			}
		}
	}
	paths := cfg.Paths()
	metrics, err := readMetrics(ctx, datastore.EtcdInputs(cfg, paths).HTTPSocket)
	if err != nil {
		return // kelp does not run; that is told already
	}
	s.Fsync = metrics.quantile("etcd_disk_wal_fsync_duration_seconds", 0.99)
	s.Commit = metrics.quantile("etcd_disk_backend_commit_duration_seconds", 0.99)
	s.Peers = metrics.quantile("etcd_network_peer_round_trip_time_seconds", 0.5)
	has, told := metrics["etcd_server_has_leader"]
	s.Leaderless = told && has == 0
	s.Elections = int(metrics["etcd_server_leader_changes_seen_total"])
}

// samples are the figures of a page of Prometheus', by name with labels.
type samples map[string]float64

// readMetrics reads etcd's, which it serves on a socket.
func readMetrics(ctx context.Context, socket string) (samples, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://etcd/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read etcd's metrics: %w", err)
	}
	defer resp.Body.Close()
	return parseMetrics(resp.Body), nil
}

func parseMetrics(r io.Reader) samples {
	found := samples{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			found[line[:at]] = v
		}
	}
	return found
}

// quantile is what that share of the values of a histogram was at most: the
// bound of the bucket that it is in, of all label sets together. It is 0 where
// there are no values.
func (m samples) quantile(name string, share float64) time.Duration {
	buckets, total := map[float64]float64{}, 0.0
	for key, count := range m {
		labels, ok := strings.CutPrefix(key, name+"_bucket{")
		if !ok {
			continue
		}
		_, rest, _ := strings.Cut(labels, `le="`)
		text, _, _ := strings.Cut(rest, `"`)
		bound, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		if math.IsInf(bound, 1) {
			total += count
		}
		buckets[bound] += count
	}
	least := math.Inf(1)
	most := 0.0
	for bound, count := range buckets {
		if !math.IsInf(bound, 1) {
			most = max(most, bound)
		}
		if count >= share*total && bound < least {
			least = bound
		}
	}
	switch {
	case total == 0:
		return 0
	case math.IsInf(least, 1):
		least = most // more than the last bound: that is known at least
	}
	return time.Duration(least * float64(time.Second))
}
