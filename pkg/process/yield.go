package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The lowest priorities that Linux has for a process that is still to come to
// its end: sched(7), ioprio_set(2).
const (
	lowestNice  = 19
	bestEffort  = 2
	lowestLevel = 7
)

// Yield has the whole process give way to all others, for processors and disks,
// from now on. It is for commands that do long work beside a running kelp; within
// kelp it would be no use, for its threads wait for each other.
func Yield() error {
	// Priorities are those of threads; new ones have that of who makes them.
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list the threads of this process: %w", err)
	}
	var errs []error
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return fmt.Errorf("list the threads of this process: %w", err)
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, lowestNice); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("lower the priority of thread %d: %w", id, err))
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(id), bestEffort<<ioprioClassShift|lowestLevel); errno != 0 && errno != unix.ESRCH {
			errs = append(errs, fmt.Errorf("lower the priority of thread %d at the disk: %w", id, errno))
		}
	}
	return errors.Join(errs...)
}

// From linux/ioprio.h.
const (
	ioprioWhoProcess = 1
	ioprioClassShift = 13
)
