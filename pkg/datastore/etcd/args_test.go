package etcd

import (
	"context"
	"flag"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/kelp-project/kelp/pkg/internal/golden"
)

func sample(user ...string) Inputs {
	return Inputs{
		Name: "one", Dir: "/var/lib/kelp/server/db/etcd", HTTPSocket: "/run/kelp/etcd-http.sock",
		ClientPort: DefaultClientPort, PeerPort: DefaultPeerPort,
		Server: TLS{Cert: "/server.crt", Key: "/server.key", CA: "/etcd-ca.crt"},
		Peer:   TLS{Cert: "/peer.crt", Key: "/peer.key", CA: "/etcd-ca.crt"},
		User:   user,
	}
}

var userArgs = []string{"quota-backend-bytes=4294967296", "cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "max-concurrent-streams=77", "feature-gates=CompactHashCheck=true"}

func TestArgs(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]Inputs{"single": sample(), "user": sample(userArgs...)} {
		set, err := Merged(in)
		if err != nil {
			t.Fatal(err)
		}
		golden.Check(t, name+".args.golden", []byte(strings.Join(set.Render(), "\n")+"\n"))
	}
}

func TestConfigTakesTheArguments(t *testing.T) {
	t.Parallel()
	cfg, err := embedConfig(sample(userArgs...), &logCore{ctx: context.Background()})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.QuotaBackendBytes != 4<<30 || cfg.MaxConcurrentStreams != 77 || len(cfg.CipherSuites) != 1 ||
		!cfg.ServerFeatureGate.Enabled("CompactHashCheck") {
		t.Errorf("the user's arguments: %d, %d, %v", cfg.QuotaBackendBytes, cfg.MaxConcurrentStreams, cfg.CipherSuites)
	}
	if !cfg.ClientTLSInfo.ClientCertAuth || !cfg.PeerTLSInfo.ClientCertAuth || cfg.ClientTLSInfo.TrustedCAFile != "/etcd-ca.crt" {
		t.Errorf("TLS: %+v, %+v", cfg.ClientTLSInfo, cfg.PeerTLSInfo)
	}
	for what, urls := range map[string]string{
		"https://127.0.0.1:2379":          cfg.ListenClientUrls[0].String(),
		"https://127.0.0.1:2380":          cfg.ListenPeerUrls[0].String(),
		"unix:///run/kelp/etcd-http.sock": cfg.ListenClientHttpUrls[0].String(),
	} {
		if urls != what {
			t.Errorf("listens on %s, want %s", urls, what)
		}
	}
	if err := cfg.Validate(); err != nil {
		t.Errorf("etcd refuses the configuration: %v", err)
	}
}

func TestArgsRefuse(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"data-dir=/x":     "data-dir is set by kelp; set dataDir instead",
		"unsafe-no-fsync": "unsafe-no-fsync is not for kelp: it loses acknowledged writes",
		"experimental-initial-corrupt-check=true": "experimental-initial-corrupt-check was removed in etcd 3.7; use feature-gates=InitialCorruptCheck=true",
		"quota-backend-byte=1":                    "there is no quota-backend-byte; did you mean quota-backend-bytes?",
	} {
		if _, err := Merged(sample(arg)); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want …%s", arg, err, want)
		}
	}
	if _, err := embedConfig(sample("heartbeat-interval=soon"), nil); err == nil || !strings.Contains(err.Error(), "heartbeat-interval=soon") {
		t.Errorf("a value that is no number: %v", err)
	}
}

func TestEveryArgumentIsAFlag(t *testing.T) {
	t.Parallel()
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	embed.NewConfig().AddFlags(flags)
	set := Args(sample())
	for _, e := range set.Entries() {
		// The only one that etcd's main declares and not embed.
		if flags.Lookup(e.Key) == nil && e.Key != "initial-cluster-state" {
			t.Errorf("etcd has no %s", e.Key)
		}
	}
	for name, r := range set.Removals() {
		if r.Release != "" && flags.Lookup(name) != nil {
			t.Errorf("%s is said to be removed in %s, but it is there", name, r.Release)
		}
		if r.Release == "" && flags.Lookup(name) == nil {
			t.Errorf("%s is refused, but etcd has no such flag", name)
		}
	}
	for _, name := range renamed {
		if flags.Lookup(name) == nil {
			t.Errorf("experimental-%s points to %s, which is none", name, name)
		}
	}
}
