//go:build e2e

package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/kelp-project/kelp/pkg/config"
	"github.com/kelp-project/kelp/pkg/images"
	"github.com/kelp-project/kelp/pkg/internal/poll"
	"github.com/kelp-project/kelp/pkg/node/containerd"
	"github.com/kelp-project/kelp/pkg/node/network"
	"github.com/kelp-project/kelp/pkg/payload"
)

// What the test's processes tell each other.
const (
	envInside = "KELP_E2E_INSIDE" // in a mount and network namespace of one's own
	envDaemon = "KELP_E2E_DAEMON" // run containerd with this data directory
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDaemon); dir != "" {
		if err := daemon(dir); err != nil {
			fmt.Fprintln(os.Stderr, "daemon:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func configOf(dir string) config.Config {
	cfg := config.Default()
	cfg.DataDir = dir
	cfg.Node.Name = "e2e"
	cfg.Containerd.Registries = filepath.Join(dir, "registries.yaml")
	return cfg
}

// daemon is kelp, as far as this test needs it: containerd and the images.
func daemon(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := configOf(dir)
	p := cfg.Paths()
	if err := payload.Unpack(ctx, payload.Dirs{Bin: p.Bin, CNIBin: p.CNIBin}); err != nil {
		return err
	}
	conflist, err := network.Conflist(cfg, network.Inputs{NFTables: true}, network.Node{PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.99.0.0/24")}, MTU: 1450})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.CNIConf, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.CNIConf, "10-kelp.conflist"), conflist, 0o600); err != nil {
		return err
	}
	began := time.Now()
	c := containerd.New(cfg, containerd.Inputs{RestrictOOMScoreAdj: true})
	var wg sync.WaitGroup
	defer wg.Wait()
	var failed error
	wg.Go(func() { failed = errors.Join(failed, c.Run(ctx)); stop() })
	if err := poll.Until(ctx, 30*time.Second, c.Ready); err != nil {
		return errors.Join(err, failed)
	}
	fmt.Fprintln(os.Stderr, "containerd was ready after", time.Since(began).Round(time.Millisecond))
	wg.Go(func() {
		if err := images.New(cfg).Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "images:", err)
		}
	})
	<-ctx.Done()
	wg.Wait()
	return failed
}

// start runs the daemon; the function it returns ends it with a signal.
func start(t *testing.T, dir string) (stop func(syscall.Signal)) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envDaemon+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func(sig syscall.Signal) {
		t.Helper()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if sig == syscall.SIGTERM && err != nil {
			t.Fatalf("containerd ended with %v", err)
		}
	}
}

// TestPodsOutliveContainerd runs a pod, ends containerd in an orderly way and
// by force, and finds the same processes again after each start.
func TestPodsOutliveContainerd(t *testing.T) {
	if os.Getenv(envInside) == "" {
		inside(t)
		return
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "kelp-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean(t, dir) })
	stop := start(t, dir)
	client := connect(t, configOf(dir).Paths().ContainerdSocket)
	p := &pod{t: t, client: client, image: images.BusyBox}
	p.run()
	first := p.pids()
	if ip := p.address(); !strings.HasPrefix(ip, "10.99.0.") {
		t.Errorf("the pod has the address %q", ip)
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		stop(sig)
		if now := p.pids(); now != first {
			t.Errorf("after %s the pod's processes are %q, were %q", sig, now, first)
		}
		stop = start(t, dir)
		p.isRunning()
		if got := p.exec("echo", "hello"); got != "hello" {
			t.Errorf("after %s exec says %q", sig, got)
		}
	}
	p.remove()
	if left := p.pids(); left != "" {
		t.Errorf("processes of the removed pod are left: %s", left)
	}
	socketIsPrivate(t, configOf(dir).Paths().ContainerdSocket)
	nothingListensOutside(t)
	stop(syscall.SIGTERM)
}

// inside runs the test in namespaces of its own, so that /run/kelp, the bridge
// and the listening sockets are nobody else's.
func inside(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), envInside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, socket string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func socketIsPrivate(t *testing.T, socket string) {
	t.Helper()
	for _, path := range []string{socket, socket + ".ttrpc"} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

// nothingListensOutside finds sockets of this network namespace, which has no
// other processes, that listen beyond loopback.
func nothingListensOutside(t *testing.T) {
	t.Helper()
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 3 && fields[3] == "0A" && !strings.HasPrefix(fields[1], "0100007F:") {
				t.Errorf("somebody listens at %s (%s)", fields[1], table)
			}
		}
	}
}

func clean(t *testing.T, dir string) {
	t.Helper()
	for _, pid := range neighbours(t) {
		t.Errorf("process %d was left behind", pid)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/kelp-e2e")
	for _, group := range append(groups, "/sys/fs/cgroup/kelp-e2e") {
		if err := os.Remove(group); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("remove the pod's cgroup: %v", err)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if path := strings.Fields(line)[1]; strings.HasPrefix(path, dir) {
			if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", path, err)
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// neighbours are the other processes in this mount namespace, all of which
// this test has started.
func neighbours(t *testing.T) []int {
	t.Helper()
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, link := range links {
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if ns, _ := os.Readlink(link); err == nil && ns == own && pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

// pod is a pod with one container that sleeps.
type pod struct {
	t                  *testing.T
	client             grpc.ClientConnInterface
	image              string
	sandbox, container string
}

func (p *pod) runtime() cri.RuntimeServiceClient { return cri.NewRuntimeServiceClient(p.client) }

func (p *pod) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	p.t.Cleanup(cancel)
	return ctx
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func (p *pod) run() {
	p.t.Helper()
	ctx := p.context()
	imported := func(ctx context.Context) error {
		for _, ref := range []string{images.Pause, p.image} {
			status, err := cri.NewImageServiceClient(p.client).ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: ref}})
			if err != nil || status.Image == nil {
				return fmt.Errorf("image %s is not there: %w", ref, err)
			}
		}
		return nil
	}
	if err := poll.Until(ctx, time.Minute, imported); err != nil {
		p.t.Fatal(err)
	}
	conf := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "e2e", Namespace: "default", Uid: fmt.Sprint(os.Getpid())},
		LogDirectory: p.t.TempDir(),
		Linux:        &cri.LinuxPodSandboxConfig{CgroupParent: "/kelp-e2e"},
	}
	began := time.Now()
	p.sandbox = must(p.runtime().RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: conf}))(p.t).PodSandboxId
	p.container = must(p.runtime().CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: p.sandbox, SandboxConfig: conf,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "sleep"},
			Image:    &cri.ImageSpec{Image: p.image},
			Command:  []string{"sleep", "98765"},
		},
	}))(p.t).ContainerId
	must(p.runtime().StartContainer(ctx, &cri.StartContainerRequest{ContainerId: p.container}))(p.t)
	p.t.Logf("the pod was running after %s", time.Since(began).Round(time.Millisecond))
}

func (p *pod) isRunning() {
	p.t.Helper()
	ctx := p.context()
	s := must(p.runtime().PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: p.sandbox}))(p.t)
	c := must(p.runtime().ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: p.container}))(p.t)
	if s.Status.State != cri.PodSandboxState_SANDBOX_READY || c.Status.State != cri.ContainerState_CONTAINER_RUNNING {
		p.t.Errorf("the pod is %s, its container %s", s.Status.State, c.Status.State)
	}
}

func (p *pod) address() string {
	p.t.Helper()
	s := must(p.runtime().PodSandboxStatus(p.context(), &cri.PodSandboxStatusRequest{PodSandboxId: p.sandbox}))(p.t)
	return s.Status.GetNetwork().GetIp()
}

func (p *pod) exec(command ...string) string {
	p.t.Helper()
	out := must(p.runtime().ExecSync(p.context(), &cri.ExecSyncRequest{ContainerId: p.container, Cmd: command, Timeout: 10}))(p.t)
	return strings.TrimSpace(string(out.Stdout))
}

func (p *pod) remove() {
	p.t.Helper()
	ctx := p.context()
	must(p.runtime().StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: p.sandbox}))(p.t)
	must(p.runtime().RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: p.sandbox}))(p.t)
}

// pids are the processes of the container's shim and of the container.
func (p *pod) pids() string {
	out, _ := exec.Command("pgrep", "-f", p.sandbox+"|sleep 98765").Output()
	return strings.Join(strings.Fields(string(out)), " ")
}
