package doctor

import (
	"net"
	"os"
	"syscall"
)

// rootOnly turns away whoever is neither root nor the user that kelp runs as.
// The socket's mode says the same, until somebody changes it.
type rootOnly struct{ *net.UnixListener }

// Accept is net.Listener's.
func (l rootOnly) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peer(conn); err == nil && trusted(uid) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

func trusted(uid uint32) bool { return uid == 0 || uid == uint32(os.Geteuid()) }

// peer is the user at the other end, as of when it connected.
func peer(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credErr error
	err = raw.Control(func(fd uintptr) {
		var cred *syscall.Ucred
		if cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); credErr == nil {
			uid = cred.Uid
		}
	})
	if err == nil {
		err = credErr
	}
	return uid, err
}
