package etcd

import (
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/kelp-project/kelp/pkg/args"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Merged returns the member's arguments with the user's merged over them.
func Merged(in Inputs) (*args.Set, error) {
	set := Args(in)
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	embed.NewConfig().AddFlags(flags)
	flags.VisitAll(func(f *flag.Flag) { set.Suggest(f.Name) })
	known := func(name string) bool { return flags.Lookup(name) != nil }
	if err := set.Merge(in.User, known); err != nil {
		return nil, err
	}
	_, _, err := parse(set)
	return set, err
}

// parse gives every argument to etcd's own flags.
func parse(set *args.Set) (*embed.Config, *flag.FlagSet, error) {
	cfg := embed.NewConfig()
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	cfg.AddFlags(flags)
	for _, e := range set.Entries() {
		if flags.Lookup(e.Key) == nil {
			continue // initial-cluster-state, which embedConfig sets
		}
		value, _ := set.Get(e.Key)
		if err := flags.Set(e.Key, value); err != nil {
			return nil, nil, set.Problem(e.Key, err)
		}
		cfg.FlagsExplicitlySet[e.Key] = true
	}
	return cfg, flags, nil
}

// embedConfig turns the arguments into etcd's own configuration. Flags are set
// through etcd's flag set, which has the parsers; the ones that it only
// declares are copied by hand, as etcd's main does.
func embedConfig(in Inputs, core zapcore.Core) (*embed.Config, error) {
	set, err := Merged(in)
	if err != nil {
		return nil, err
	}
	cfg, flags, err := parse(set)
	if err != nil {
		return nil, err
	}
	for urls, texts := range map[*[]url.URL][]string{
		&cfg.ListenClientUrls: in.ClientURLs(), &cfg.AdvertiseClientUrls: {in.advertised()},
		&cfg.ListenPeerUrls: {in.PeerURL()}, &cfg.AdvertisePeerUrls: {in.PeerURL()},
		&cfg.ListenClientHttpUrls: {in.HTTPURL()},
	} {
		*urls = nil
		for _, text := range texts {
			u, err := url.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("parse address of etcd: %w", err)
			}
			*urls = append(*urls, *u)
		}
	}
	if suites := flags.Lookup("cipher-suites").Value.String(); suites != "" {
		cfg.CipherSuites = strings.Split(suites, ",")
	}
	if _, err := fmt.Sscan(flags.Lookup("max-concurrent-streams").Value.String(), &cfg.MaxConcurrentStreams); err != nil {
		return nil, fmt.Errorf("etcd argument max-concurrent-streams: %w", err)
	}
	cfg.ClusterState = in.initialState()
	cfg.ForceNewCluster = in.ForceNew
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(core))
	return cfg, nil
}
