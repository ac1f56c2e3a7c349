//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the signal handler (prctl_linux_*.s) is to do, and what came of it.
var (
	prctlMutex    sync.Mutex
	prctlOption   uintptr
	prctlArgument uintptr
	prctlResult   int
	prctlDone     uint32
)

// prctlSignal is one of the real-time signals, which the Go runtime and the kernel leave alone.
const prctlSignal = unix.Signal(63)

// prctlPatience is how long a thread may take to handle a signal: it must only get a CPU.
const prctlPatience = time.Second

// prctlHandlerAddress is where the handler lies. A pointer to a Go function would not do: it
// leads to code that expects the state of a goroutine.
func prctlHandlerAddress() uintptr

// sigaction is the kernel's struct of that name.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// prctlOn calls prctl(2), which only ever speaks of the calling thread, on another thread of
// this process: it interrupts that thread by a signal whose handler does nothing else. The
// thread may be one that runs no Go code. The result is prctl's, or an error.
func prctlOn(tid int, option, argument uintptr) (int, error) {
	prctlMutex.Lock()
	defer prctlMutex.Unlock()
	var before sigaction
	if err := rtSigaction(nil, &before); err != nil {
		return 0, err
	}
	ours := before // the runtime's flags and its way back from a handler
	ours.handler = prctlHandlerAddress()
	atomic.StoreUintptr(&prctlOption, option)
	atomic.StoreUintptr(&prctlArgument, argument)
	atomic.StoreUint32(&prctlDone, 0)
	if err := rtSigaction(&ours, nil); err != nil {
		return 0, err
	}
	err := unix.Tgkill(os.Getpid(), tid, prctlSignal)
	for end := time.Now().Add(prctlPatience); err == nil && atomic.LoadUint32(&prctlDone) == 0; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			err = fmt.Errorf("thread %d did not handle a signal within %v", tid, prctlPatience)
		}
	}
	if err = errors.Join(err, rtSigaction(&before, nil)); err != nil {
		return 0, err
	}
	if prctlResult < 0 {
		return 0, fmt.Errorf("prctl %d on thread %d: %w", option, tid, unix.Errno(-prctlResult))
	}
	return prctlResult, nil
}

func rtSigaction(to, from *sigaction) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(prctlSignal), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(from)), unsafe.Sizeof(from.mask), 0, 0)
	if e != 0 {
		return fmt.Errorf("handler of signal %d: %w", int(prctlSignal), e)
	}
	return nil
}
