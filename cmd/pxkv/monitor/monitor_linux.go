package monitor

import (
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

// spareThreads is how many threads are made before the monitor is slowed down. When it frees the
// way behind a stuck thread and no thread is idle, it makes one, which inherits its nice value,
// and only a privileged process could take that back. So many are not stuck at once.
const spareThreads = 32

// Calm makes the monitor thread of this process wait for its turn when the CPUs are busy. An error
// means that it was left as it is.
func Calm() error {
	tid, err := monitorThread()
	if err != nil {
		return err
	}
	makeThreads(spareThreads)
	if err := unix.Setpriority(unix.PRIO_PROCESS, tid, monitorNice); err != nil {
		return fmt.Errorf("nice value of thread %d: %w", tid, err)
	}
	return nil
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
