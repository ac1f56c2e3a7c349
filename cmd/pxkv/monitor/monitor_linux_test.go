package monitor

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The second thread must be the one that the runtime's monitor runs on, whatever the version of
// Go: while goroutines work it is the one that sleeps in nanosleep all the time.
func TestTheMonitorIsTheSecondThread(t *testing.T) {
	tid, err := monitorThread()
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	defer stop.Store(true)
	go func() { // without work the monitor sleeps for good
		for !stop.Load() {
		}
	}()
	asleep := strconv.Itoa(unix.SYS_NANOSLEEP)
	seen := map[string]int{}
	for end := time.Now().Add(20 * time.Second); seen[asleep] < 50 && time.Now().Before(end); {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", tid))
		if err != nil {
			t.Skipf("this system does not tell what threads do: %v", err)
		}
		number, _, _ := strings.Cut(string(bytes.TrimSpace(b)), " ")
		seen[number]++
	}
	if seen[asleep] < 50 {
		t.Errorf("the second thread was in these system calls: %v, not in nanosleep (%s)", seen, asleep)
	}
}

func TestTheMonitorWaitsForItsTurn(t *testing.T) {
	before, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := Calm(); err != nil {
		t.Fatal(err)
	}
	tid, err := monitorThread()
	if err != nil {
		t.Fatal(err)
	}
	const kernelNice = 20 - monitorNice // the system call's answer is 20 less the nice value
	if got, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err != nil || got != kernelNice {
		t.Errorf("priority of the monitor: %d, %v; want %d", got, err, kernelNice)
	}
	if got, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid()); err != nil || got != before {
		t.Errorf("priority of the main thread: %d, %v; want %d as before", got, err, before)
	}
}

// Threads that the monitor makes inherit its nice value, and nobody could take it back.
func TestOnlyTheMonitorIsNice(t *testing.T) {
	if err := Calm(); err != nil {
		t.Fatal(err)
	}
	monitor, err := monitorThread()
	if err != nil {
		t.Fatal(err)
	}
	// Threads get stuck one after the other, and each leaves work behind that the monitor must
	// find another thread for.
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	var stuck sync.WaitGroup
	for range spareThreads / 2 {
		for range runtime.GOMAXPROCS(0) {
			stuck.Go(func() {
				for end := time.Now().Add(time.Millisecond); time.Now().Before(end); {
				}
			})
		}
		stuck.Go(func() { _, _ = unix.Read(pipe[0], make([]byte, 1)) })
		runtime.Gosched()
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err == nil && nice == 20-monitorNice && tid != monitor {
			t.Errorf("thread %d of %d is as nice as the monitor", tid, len(tasks))
		}
	}
	unix.Close(pipe[1])
	stuck.Wait()
	unix.Close(pipe[0])
}
