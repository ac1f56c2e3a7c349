package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	stop := make(chan struct{})
	defer close(stop)
	go func() { // without work the monitor sleeps for good
		for {
			select {
			case <-stop:
				return
			default:
			}
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
	if err := calmMonitor(); err != nil {
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
