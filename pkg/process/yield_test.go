package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// priorities are the different ones that this process's threads have.
func priorities() string {
	var busy sync.WaitGroup
	for range 8 { // some threads are made now
		busy.Go(func() { _, _ = os.ReadFile("/proc/self/status") })
	}
	busy.Wait()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err.Error()
	}
	found := map[string]bool{}
	for _, t := range tasks {
		id, _ := strconv.Atoi(t.Name())
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, id)
		disk, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, uintptr(id), 0)
		found[fmt.Sprintf("nice %d, at the disk %d of class %d, %v", 20-nice, disk&(1<<ioprioClassShift-1), disk>>ioprioClassShift, err)] = true
	}
	var list []string
	for f := range found {
		list = append(list, f)
	}
	return strings.Join(list, "; ")
}

func TestYieldLowersEveryThread(t *testing.T) {
	out, err := start(t, "yield").Output()
	if want := "<nil> nice 19, at the disk 7 of class 2, <nil>\n"; err != nil || string(out) != want {
		t.Errorf("it printed %q, %v; want %q", out, err, want)
	}
}
