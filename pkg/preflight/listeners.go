package preflight

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listening is the state of a listening socket in /proc/net/tcp.
const listening = "0A"

// observeListeners lists those listening TCP sockets of this network namespace
// that matter, with their processes where those can be seen. Looking for
// processes takes tens of milliseconds, so it is left out when none matters.
func observeListeners(proc string, matters func(Listener) bool) ([]Listener, error) {
	var all []Listener
	for _, name := range []string{"tcp", "tcp6"} {
		file, err := os.Open(filepath.Join(proc, "net", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if l, ok := parseSocket(lines.Text()); ok && matters(l) {
				all = append(all, l)
			}
		}
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
	}
	if len(all) > 0 {
		nameOwners(proc, all)
	}
	return all, nil
}

// parseSocket reads a line of /proc/net/tcp or tcp6 if it is of a socket that
// listens:
//
//	0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 23456 1 …
func parseSocket(line string) (Listener, bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listening {
		return Listener{}, false
	}
	address, number, _ := strings.Cut(f[1], ":")
	raw, err := hex.DecodeString(address)
	n, portErr := strconv.ParseUint(number, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return Listener{}, false
	}
	// The kernel prints each 32 bits as a number of the host's byte order.
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return Listener{Address: netip.AddrPortFrom(ip.Unmap(), uint16(n)), Inode: f[9]}, ok
}

// nameOwners finds the processes that hold the sockets open.
func nameOwners(proc string, sockets []Listener) {
	links, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return // impossible: the pattern is constant
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, "socket:[") {
			continue
		}
		inode := strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")
		i := slices.IndexFunc(sockets, func(l Listener) bool { return l.Inode == inode && l.PID == 0 })
		if i < 0 {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			sockets[i].PID = pid
			comm, _ := os.ReadFile(filepath.Join(dir, "comm")) // the process may have ended by now
			sockets[i].Command = strings.TrimSpace(string(comm))
		}
	}
}
