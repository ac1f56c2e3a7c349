package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// monitorNice is the nice value of the runtime's monitor thread: the weakest there is. It still
// gets one part in seventy of a busy CPU, enough for hundreds of rounds a second.
const monitorNice = 19

// monitorSlack is how much later than asked for the monitor may be woken, in nanoseconds (see
// PR_SET_TIMERSLACK in prctl(2)). By default it is 50 us, which makes a wakeup, a timer's interrupt
// and two switches each 70 us. A thread that is stuck in a system call is found as much later,
// while the other CPUs go on and take over what waits for it.
const monitorSlack = 2_000_000

// spareThreads is how many threads are made before the monitor is slowed down. When it frees the
// way behind a stuck thread and no thread is idle, it makes one, which inherits its nice value and
// its slack, and only a privileged process could take the nice value back. So many are not stuck at once.
const spareThreads = 32

// calmMonitor makes the monitor thread of the Go runtime wake up less often, and wait for its
// turn when the CPUs are busy. The thread looks for threads that are stuck in system calls, and after each that it
// finds it wakes up every 20 us for a while. A node whose every request is some system calls
// keeps it at that, and each time it takes a CPU from a thread that has work. An error means that
// it was left as it is, or only woken less often.
func calmMonitor() error {
	tid, err := monitorThread()
	if err != nil {
		return err
	}
	makeThreads(spareThreads)
	var slack error
	if runtime.GOMAXPROCS(0) > 1 { // nobody takes over from the only one
		if _, err := prctlOn(tid, unix.PR_SET_TIMERSLACK, monitorSlack); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			slack = fmt.Errorf("timer slack of thread %d: %w", tid, err)
		}
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, tid, monitorNice); err != nil {
		return errors.Join(slack, fmt.Errorf("nice value of thread %d: %w", tid, err))
	}
	return slack
}

// makeThreads makes the runtime have n threads more than it needs. It keeps them.
func makeThreads(n int) {
	var up, done sync.WaitGroup
	release := make(chan struct{})
	up.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread() // a goroutine that waits like this has its thread wait with it
			defer runtime.UnlockOSThread()
			up.Done()
			<-release
		})
	}
	up.Wait()
	close(release)
	done.Wait()
}

// monitorThread finds the monitor. The runtime starts it before any other thread (runtime.main
// in proc.go), and the kernel lists threads in the order of their creation.
func monitorThread() (int, error) {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(2)
	if err != nil {
		return 0, err
	}
	if len(names) < 2 || names[0] != strconv.Itoa(os.Getpid()) {
		return 0, fmt.Errorf("/proc/self/task begins with %q: the main thread and another were expected", names)
	}
	return strconv.Atoi(names[1])
}
