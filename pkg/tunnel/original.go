package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// syscallConn is what a socket's options are set on.
type syscallConn = syscall.RawConn

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h, and the same for
// IPv6.
const soOriginalDst = 80

// originalDestination is where a redirected connection was meant to go.
func originalDestination(conn net.Conn) (netip.AddrPort, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return netip.AddrPort{}, errors.New("it is not TCP")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("look at a connection: %w", err)
	}
	six := false
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		six = a.IP.To4() == nil
	}
	var found netip.AddrPort
	var failed error
	if err := raw.Control(func(fd uintptr) { found, failed = original(int(fd), six) }); err != nil {
		return netip.AddrPort{}, fmt.Errorf("look at a connection: %w", err)
	}
	if failed != nil {
		return netip.AddrPort{}, fmt.Errorf("find where a connection was meant to go: %w", failed)
	}
	return found, nil
}

// original reads the option into structures of another name and the same size:
// there is no call for it.
func original(fd int, six bool) (netip.AddrPort, error) {
	if six {
		info, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, soOriginalDst)
		if err != nil {
			return netip.AddrPort{}, err
		}
		var port [2]byte // in the network's order, whatever the machine's is
		binary.NativeEndian.PutUint16(port[:], info.Addr.Port)
		return netip.AddrPortFrom(netip.AddrFrom16(info.Addr.Addr), binary.BigEndian.Uint16(port[:])), nil
	}
	mreq, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, soOriginalDst)
	if err != nil {
		return netip.AddrPort{}, err
	}
	b := mreq.Multiaddr // family, port, address
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4])), nil
}
