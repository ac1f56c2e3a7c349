//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// The monitor alone sleeps longer than it asked for: goroutines run on all other threads.
func TestOnlyTheMonitorHasSlack(t *testing.T) {
	const usual = 50_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	if err := calmMonitor(); err != nil {
		t.Fatal(err)
	}
	monitor, err := monitorThread()
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		want := usual
		if tid == monitor {
			want = monitorSlack
		}
		if got, err := prctlOn(tid, unix.PR_GET_TIMERSLACK, 0); !errors.Is(err, unix.ESRCH) && (err != nil || got != want) {
			t.Errorf("thread %d of %d, the monitor is %d: slack %d ns, %v; want %d", tid, len(tasks), monitor, got, err, want)
		}
	}
}

func TestPrctlOnAnotherThreadFailsCleanly(t *testing.T) {
	var before, after sigaction
	if err := rtSigaction(nil, &before); err != nil {
		t.Fatal(err)
	}
	monitor, err := monitorThread()
	if err != nil {
		t.Fatal(err)
	}
	const noSuchOption = 1 << 20
	if _, err := prctlOn(monitor, noSuchOption, 0); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an option that does not exist: %v", err)
	}
	if _, err := prctlOn(1<<30, unix.PR_GET_TIMERSLACK, 0); !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EINVAL) {
		t.Errorf("a thread that does not exist: %v", err)
	}
	if err := rtSigaction(nil, &after); err != nil || after != before {
		t.Errorf("the handler of the signal is now %+v, %v; before it was %+v", after, err, before)
	}
}
