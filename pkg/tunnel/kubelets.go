package tunnel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"

	"github.com/kelp-project/kelp/pkg/internal/pipe"
)

// Pods of a server, metrics-server above all, ask kubelets directly. What they
// send to a kubelet behind a tunnel is redirected here, and carried through it.
// It is a pipe: the kubelet authenticates whoever it is.

// followEvery is how often it is looked which kubelets are behind tunnels:
// metrics-server asks every 15 s.
const followEvery = 5 * time.Second

// tableName is the table with the redirection.
const tableName = "kelp_tunnel"

// Kubelets carries what pods of this server send to kubelets behind tunnels.
type Kubelets struct {
	Hub *Hub
	// Of returns the addresses of a node's kubelet.
	Of func(node string) []netip.AddrPort
	// Gateways are this node's own addresses on the bridge of its pods, one per
	// family, none while they are not known.
	Gateways func() []netip.Addr
	// Bridge is the name of that bridge.
	Bridge string
}

// Run redirects until ctx ends, and stops doing so then.
func (k *Kubelets) Run(ctx context.Context) error {
	nft, err := knftables.New(knftables.InetFamily, tableName)
	if err != nil {
		return fmt.Errorf("use nft: %w", err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ports := map[netip.Addr]uint16{} // of the listeners, by the address that they are on
	last := ""
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		tx := nft.NewTransaction()
		if kubelets := k.behind(); len(kubelets) > 0 {
			for _, gateway := range k.Gateways() {
				if ports[gateway] != 0 {
					continue
				}
				l, err := listenAt(ctx, gateway)
				if err != nil {
					log.G(ctx).WithError(err).Debug("pods do not reach kubelets behind tunnels")
					continue
				}
				ports[gateway] = netip.MustParseAddrPort(l.Addr().String()).Port()
				serving.Go(func() { k.serve(ctx, l) })
			}
			redirect(tx, k.Bridge, kubelets, ports)
		} else {
			removeTable(tx)
		}
		if text := tx.String(); text != last {
			if err := nft.Run(ctx, tx); err != nil {
				log.G(ctx).WithError(err).Warn("pods do not reach kubelets behind tunnels")
			} else {
				last = text
			}
		}
		select {
		case <-ctx.Done():
			return takeAway(context.WithoutCancel(ctx), nft)
		case <-tick.C:
		}
	}
}

func takeAway(ctx context.Context, nft knftables.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	tx := nft.NewTransaction()
	removeTable(tx)
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("remove the redirection to tunnels: %w", err)
	}
	return nil
}

// behind are the kubelets that are reached through a tunnel, in order.
func (k *Kubelets) behind() []netip.AddrPort {
	var found []netip.AddrPort
	for _, node := range k.Hub.Nodes() {
		found = append(found, k.Of(node)...)
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	return slices.Compact(found)
}

func removeTable(tx *knftables.Transaction) {
	table := &knftables.Table{}
	tx.Add(table) // so that there is one to delete
	tx.Delete(table)
}

// redirect fills a transaction that replaces the table.
func redirect(tx *knftables.Transaction, bridge string, kubelets []netip.AddrPort, ports map[netip.Addr]uint16) {
	removeTable(tx)
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("pods' way to kubelets behind tunnels, by kelp")})
	tx.Add(&knftables.Chain{
		Name: "prerouting", Type: knftables.PtrTo(knftables.NATType), Hook: knftables.PtrTo(knftables.PreroutingHook),
		Priority: knftables.PtrTo(knftables.DNATPriority + "-1"),
	})
	for _, gateway := range slices.SortedFunc(maps.Keys(ports), netip.Addr.Compare) {
		set, family, typ := "kubelets-4", "ip", "ipv4_addr"
		if gateway.Is6() {
			set, family, typ = "kubelets-6", "ip6", "ipv6_addr"
		}
		tx.Add(&knftables.Set{Name: set, Type: typ + " . inet_service"})
		for _, a := range kubelets {
			if a.Addr().Is6() == gateway.Is6() {
				tx.Add(&knftables.Element{Set: set, Key: []string{a.Addr().String(), strconv.Itoa(int(a.Port()))}})
			}
		}
		tx.Add(&knftables.Rule{Chain: "prerouting", Rule: knftables.Concat("iifname", strconv.Quote(bridge), family, "daddr . tcp dport @"+set, "redirect to", ":"+strconv.Itoa(int(ports[gateway])))})
	}
}

// listenAt listens on an address that the machine may get later, with its first
// pod.
func listenAt(ctx context.Context, address netip.Addr) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscallConn) error {
		var failed error
		if err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1) }); err != nil {
			return err
		}
		return failed
	}}
	l, err := config.Listen(ctx, "tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return nil, fmt.Errorf("listen for pods' connections to kubelets: %w", err)
	}
	return l, nil
}

func (k *Kubelets) serve(ctx context.Context, l net.Listener) {
	var all sync.WaitGroup
	defer all.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			return // the listener is closed
		}
		all.Go(func() { k.carry(ctx, conn) })
	}
}

// errDirect is of a connection that was not redirected: nobody should know the
// port.
var errDirect = errors.New("it was not meant for a kubelet behind a tunnel")

func (k *Kubelets) carry(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	through, err := k.dial(ctx, conn)
	if err != nil {
		log.G(ctx).WithError(err).WithField("peer", conn.RemoteAddr()).Debug("a pod's connection to a kubelet was closed")
		return
	}
	defer through.Close()
	pipe.Both(conn, through)
}

func (k *Kubelets) dial(ctx context.Context, conn net.Conn) (*stream, error) {
	target, err := originalDestination(conn)
	if err != nil {
		return nil, err
	}
	for _, node := range k.Hub.Nodes() {
		if slices.Contains(k.Of(node), target) {
			ctx, cancel := context.WithTimeout(ctx, openTimeout)
			defer cancel()
			return k.Hub.dial(ctx, node, target.String())
		}
	}
	return nil, errDirect
}
