//go:build processes

package processes

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// needRedis returns the path of one of Redis's programs, or skips the test.
func needRedis(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed: on Debian, apt-get install redis-server redis-tools", program)
	}
	return path
}

// startRedis starts a real Redis that keeps nothing, until the end of the test.
func startRedis(t *testing.T, settings ...string) (address string) {
	t.Helper()
	program := needRedis(t, "redis-server")
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has a descriptor of its own
	address = freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(program, append([]string{
		"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", dir,
	}, settings...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	await(t, "redis-server listens", 10*time.Second, func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	return address
}

// startOne starts a node that is a cluster of its own and keeps everything in memory. Redis
// clients may flush it.
func startOne(t *testing.T, settings ...setting) *node {
	t.Helper()
	c := newCluster(t, 1)
	n := c.nodes[0]
	n.extra = []string{"--store", "memory", "--allow-flush"}
	for _, set := range settings {
		set(n)
	}
	n.start()
	n.awaitReady()
	return n
}
