//go:build processes

package processes

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a pxkv process that was started here.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it is gone
}

// launchWith starts a program in a process group of its own and appends what it says to a log. It may
// be started by way of a command that becomes the program, such as ip netns exec.
func launchWith(by []string, program, logFile string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has a descriptor of its own
	line := slices.Concat(by, []string{program}, args)
	p := &process{cmd: exec.Command(line[0], line[1:]...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = cleanEnvironment()
	// Pdeathsig: when the tests themselves are killed, nothing stays behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	fmt.Fprintf(log, "--- %s: pxkv %s\n", time.Now().Format(time.RFC3339Nano), strings.Join(args, " "))
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	return p, nil
}

// cleanEnvironment leaves out settings of pxkv that happen to be set here, but for the one
// that helps to find out what went wrong.
func cleanEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "PXKV_") && !strings.HasPrefix(v, "PXKV_LOG_LEVEL=")
	})
}

// signal sends a signal to the whole group; it does nothing when the process is gone.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.ended:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait returns the exit code, -1 after a signal, or an error when the process does not end
// in time.
func (p *process) wait(limit time.Duration) (code int, err error) {
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("process %d has not ended after %v", p.cmd.Process.Pid, limit)
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// residentOf is the memory of a process, 0 when it is gone.
func residentOf(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
