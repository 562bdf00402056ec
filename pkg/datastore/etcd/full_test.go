package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// What etcd's last line is about decides what a person is told to do: who has a full
// disk must not be sent to move the data away.
func TestLastWordsTellAFullDiskFromDamagedData(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message string
		err     error
		full    bool
	}{
		"the database": {"failed to commit tx", os.NewSyscallError("write", syscall.ENOSPC), true},
		"a quota":      {"failed to commit tx", os.NewSyscallError("write", syscall.EDQUOT), true},
		"the log":      {"failed to save Raft hard state and entries", fmt.Errorf("write 1.wal: %w", syscall.ENOSPC), true},
		"damage":       {"failed to read WAL, cannot be repaired", errors.New("wal: crc mismatch"), false},
	} {
		var said bytes.Buffer
		logger := logrus.New()
		logger.SetOutput(&said)
		core := &logCore{ctx: log.WithLogger(t.Context(), logger.WithField("test", name)), dir: "/where/it/is"}
		if err := core.Write(zapcore.Entry{Level: zapcore.FatalLevel, Message: c.message}, []zapcore.Field{zap.Error(c.err)}); err != nil {
			t.Fatal(err)
		}
		at := startError(t.TempDir(), c.err)
		if strings.Contains(said.String(), "make room") != c.full || strings.Contains(said.String(), "move this directory away") == c.full {
			t.Errorf("%s: it says %s", name, said.String())
		}
		if strings.Contains(at.Error(), "move this directory away") {
			t.Errorf("%s: of a member that has no data yet it says %v", name, at)
		}
	}
}
