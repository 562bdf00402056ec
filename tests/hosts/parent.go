package hosts

import (
	"os/exec"
	"runtime"
	"syscall"
)

// parent is one operating-system thread that starts processes. The kernel
// sends them SIGKILL when that very thread ends, so they never outlive the
// tests, however these end.
type parent struct {
	start chan *exec.Cmd
	done  chan error
}

func newParent() *parent {
	p := &parent{start: make(chan *exec.Cmd), done: make(chan error)}
	go p.run()
	return p
}

// run ends without unlocking its thread, which thereby ends too.
func (p *parent) run() {
	runtime.LockOSThread()
	for cmd := range p.start {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		p.done <- cmd.Start()
	}
}

// Start starts cmd; whoever calls it waits for it.
func (p *parent) Start(cmd *exec.Cmd) error {
	p.start <- cmd
	return <-p.done
}

func (p *parent) end() { close(p.start) }
