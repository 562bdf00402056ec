package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/log"

	"github.com/kelp-project/kelp/pkg/balancer"
	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/datastore"
	"github.com/kelp-project/kelp/pkg/epoch"
	"github.com/kelp-project/kelp/pkg/internal/atomicfile"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/join"
	"github.com/kelp-project/kelp/pkg/process"
)

const (
	// regroupEvery is how often the other servers are asked: those without a
	// majority learn of a reset within it.
	regroupEvery = 15 * time.Second
	// askFor bounds the question before a start, which a server that is away
	// delays by as much.
	askFor = 2 * time.Second
)

// rejoin has a server whose data was superseded, by a restore or a reset on
// another one, set it aside and join anew, and one that has lost its data join
// again. It is called before the server starts.
func rejoin(ctx context.Context, cfg config.Config) error {
	if datastore.Kind(cfg) == config.DatastoreExternal {
		return nil
	}
	if lost, err := dataLost(cfg); err != nil {
		return err
	} else if lost {
		return joinAgain(ctx, cfg)
	}
	if datastore.Kind(cfg) != config.DatastoreEtcd {
		return nil
	}
	newest, where, err := newestEpoch(ctx, cfg)
	if err != nil || where == "" {
		return err
	}
	entry := log.G(ctx).WithField("server", where).WithField("reason", newest.Reason).WithField("at", newest.At)
	if !datastore.Present(cfg) {
		return newest.Adopt(cfg.Paths()) // it has only just joined
	}
	// First it has to know whom to join, which one that began the cluster does
	// not: without data and without that it would begin another one.
	if err := learn(ctx, cfg, where); err != nil {
		return err
	}
	kept, err := datastore.SetAside(cfg, "rejoin", time.Now())
	if err != nil {
		return err
	}
	entry.WithField("kept", strings.Join(kept, " ")).Warn("the cluster's data was made anew on another server; this one's is set aside, and it joins again")
	return newest.Adopt(cfg.Paths())
}

// learn asks another server for the cluster, and remembers it.
func learn(ctx context.Context, cfg config.Config, server string) error {
	cfg.Server, cfg.Token, cfg.TokenFile = "https://"+server, "", cfg.Paths().TokenFile
	m, err := join.NewMember(cfg)
	if err != nil {
		return err
	}
	_, err = m.Cluster(ctx)
	return err
}

// dataLost says whether somebody, or something, has taken away the data of a server
// whose cluster has others: with new data it would be a second cluster of the same
// name and keys. One that has just joined has an empty directory of etcd's.
func dataLost(cfg config.Config) (bool, error) {
	has, err := join.HasKeys(cfg.Paths())
	if err != nil || !has || datastore.Present(cfg) {
		return false, err
	}
	others, err := peers(cfg)
	if err != nil || len(others) == 0 {
		return false, err
	}
	if !join.Joined(cfg) {
		return true, nil
	}
	_, err = os.Stat(cfg.Paths().Etcd)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look for the data: %w", err)
	}
	return err != nil, nil
}

// joinAgain has a server without data join the others, as soon as one answers.
func joinAgain(ctx context.Context, cfg config.Config) error {
	others, err := peers(cfg)
	if err != nil {
		return err
	}
	log.G(ctx).WithField("servers", strings.Join(others, " ")).Warn("this server has no data, and its cluster has other servers: it joins them again; without them, restore a snapshot with kelp snapshot restore")
	var told time.Time
	if err := poll.Forever(ctx, func(ctx context.Context) error {
		var problems []error
		for _, other := range others {
			one, cancel := context.WithTimeout(ctx, askFor)
			err := learn(one, cfg, other)
			cancel()
			if err == nil {
				return nil
			}
			problems = append(problems, err)
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			log.G(ctx).WithError(errors.Join(problems...)).Info("waiting for another server")
			process.NotifyWaiting("waiting for another server: "+strings.Join(others, ", "), 3*tellEvery)
		}
		return errors.Join(problems...)
	}); err != nil {
		return nil // it was told to stop
	}
	if _, err := datastore.SetAside(cfg, "rejoin", time.Now()); err != nil {
		return err
	}
	newest, where, err := newestEpoch(ctx, cfg)
	if err != nil || where == "" {
		return err
	}
	return newest.Adopt(cfg.Paths())
}

// newestEpoch asks the other servers that this one knows, all at once; where is
// empty when none has a newer one than this server.
func newestEpoch(ctx context.Context, cfg config.Config) (newest epoch.Epoch, where string, err error) {
	own, err := epoch.Current(cfg.Paths())
	if err != nil {
		return own, "", err
	}
	newest = own
	others, err := peers(cfg)
	if err != nil {
		return own, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, other := range others {
		asking.Go(func() {
			its, err := join.EpochOf(ctx, cfg.Paths(), other)
			if err != nil {
				return // it is away
			}
			mu.Lock()
			defer mu.Unlock()
			if its.Supersedes(newest) {
				newest, where = its, other
			} else if its.Contradicts(own) {
				log.G(ctx).WithField("server", other).WithField("at", its.At).Error("the cluster was restored or reset on two servers, which do not know of each other's: stop kelp on the one that is to give its data up, and move its data directory away, to have it join anew")
			}
		})
	}
	asking.Wait()
	return newest, where, nil
}

// peers are the other servers that this one has heard of, host:port.
func peers(cfg config.Config) ([]string, error) {
	var hosts []string
	text, err := os.ReadFile(cfg.Paths().Peers)
	if err == nil {
		err = json.Unmarshal(text, &hosts)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read which other servers there are: %w", err)
	}
	cluster, _, err := join.Remembered(cfg.Paths())
	if err != nil {
		return nil, err
	}
	hosts = append(hosts, cluster.Hosts()...)
	members, err := balancer.Remembered(cfg.Paths().EtcdServers)
	if err != nil {
		return nil, err
	}
	for _, m := range members.Servers {
		if host, _, err := net.SplitHostPort(m); err == nil {
			hosts = append(hosts, host)
		}
	}
	var others []string
	for _, host := range hosts {
		ip, err := netip.ParseAddr(host)
		if err == nil && (ip.IsLoopback() || slices.Contains(cfg.Node.IPs, ip)) {
			continue
		}
		if server := net.JoinHostPort(host, strconv.Itoa(int(cfg.API.HTTPSPort))); !slices.Contains(others, server) {
			others = append(others, server)
		}
	}
	return others, nil
}

// regroup has the server start anew, to set its data aside, when that is
// superseded. It remembers who the others are.
func regroup(cfg config.Config, ds *datastore.Datastore, restart func()) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(regroupEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if err := notePeers(ctx, cfg, ds); err != nil && ctx.Err() == nil {
				log.G(ctx).WithError(err).Debug("etcd's members were not noted")
			}
			_, where, err := newestEpoch(ctx, cfg)
			switch {
			case err != nil:
				log.G(ctx).WithError(err).Warn("the other servers were not asked whether this one's data is the cluster's")
			case where != "":
				log.G(ctx).WithField("server", where).Warn("the cluster's data was made anew on another server: this one starts anew, to join it")
				restart()
				<-ctx.Done()
				return nil
			}
		}
	}
}

// notePeers writes the hosts of etcd's members to a file, when they are known.
func notePeers(ctx context.Context, cfg config.Config, ds *datastore.Datastore) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	urls, err := ds.ClientURLs(ctx)
	if err != nil {
		return err
	}
	var hosts []string
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("read address of an etcd member: %w", err)
		}
		if host := u.Hostname(); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	text, err := json.Marshal(hosts)
	if err != nil {
		return fmt.Errorf("encode etcd's members: %w", err)
	}
	_, err = atomicfile.WriteIfChanged(cfg.Paths().Peers, append(text, '\n'), 0o600)
	return err
}
