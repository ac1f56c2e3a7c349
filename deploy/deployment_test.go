//go:build containers

package deploy

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

// project names the containers, network, volumes and image of this test, and nobody else's.
const project = "pxkv-containers-test"

const (
	composeLabel = "com.docker.compose.project=" + project // on what compose started
	runLabel     = "pxkv.test=" + project                  // on what runNode started
	buildLabel   = "pxkv.stage=build"                      // on the steps of the build, by deploy/Dockerfile
)

// deployment drives the docker client. What it starts, it removes when the test ends.
type deployment struct {
	root           string   // of the repository
	settings       string   // what stands for .env beside the compose file
	composeCommand []string // "docker compose", or the older "docker-compose"
	ledger         loadcheck.Ledger
	loads          int // so many loads ran: each has a key prefix of its own
}

// newDeployment starts nothing.
func newDeployment(ctx context.Context, t *testing.T) *deployment {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{
		root: root, settings: filepath.Join(t.TempDir(), ".env"), composeCommand: []string{"docker-compose"},
	}
	d.set(t, "")
	if exec.CommandContext(ctx, "docker", "compose", "version").Run() == nil {
		d.composeCommand = []string{"docker", "compose"}
	}
	return d
}

// set writes what stands for .env.
func (d *deployment) set(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(d.settings, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// claim makes sure that nothing is in the way, and that nothing stays.
func (d *deployment) claim(t *testing.T) {
	t.Helper()
	d.removeAll(t) // what an earlier test left that was killed
	taken := []string{"127.0.0.1:6379", "127.0.0.1:6380", "127.0.0.1:6381", "127.0.0.1:6382"}
	for _, n := range five {
		taken = append(taken, strings.TrimPrefix(n.URL, "http://"))
	}
	for _, address := range taken {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("a port of the compose file is not free, stop what listens there: %v", err)
		}
		l.Close()
	}
	t.Cleanup(func() {
		if t.Failed() {
			d.printViews(t)
			d.printLogs(t)
		}
		d.removeAll(t)
	})
}

// command runs a program in the repository's root and returns what it printed. When ctx ends,
// the program and those that it started are asked to end: docker-compose builds by docker.
func (d *deployment) command(ctx context.Context, name string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = d.root
	// A variable would count more than .env.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "COMPOSE_")
	}), "PXKV_IMAGE="+project)
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, text, stderr.String())
	}
	return strings.TrimSpace(string(text)), nil
}

func (d *deployment) docker(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	if looks := args[0] == "inspect" || args[0] == "ps" || args[1] == "ls"; !looks {
		say(t, "docker %s", strings.Join(args, " "))
	}
	text, err := d.command(ctx, "docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (d *deployment) composeArgs(args ...string) []string {
	return append(append(d.composeCommand[1:len(d.composeCommand):len(d.composeCommand)],
		"-p", project, "-f", "docker-compose.yml", "--env-file", d.settings), args...)
}

func (d *deployment) compose(ctx context.Context, t *testing.T, args ...string) {
	t.Helper()
	say(t, "%s %s", strings.Join(d.composeCommand, " "), strings.Join(args, " "))
	if _, err := d.command(ctx, d.composeCommand[0], d.composeArgs(args...)...); err != nil {
		t.Fatal(err)
	}
}

// container returns the name of a service's container, running or not.
func (d *deployment) container(ctx context.Context, t *testing.T, service string) string {
	t.Helper()
	return only(t, "container of "+service, d.docker(ctx, t, "ps", "--all", "--format", "{{.Names}}",
		"--filter", "label="+composeLabel,
		"--filter", "label=com.docker.compose.service="+service))
}

func (d *deployment) volume(ctx context.Context, t *testing.T, volume string) string {
	t.Helper()
	return only(t, "volume "+volume, d.docker(ctx, t, "volume", "ls", "--quiet",
		"--filter", "label="+composeLabel,
		"--filter", "label=com.docker.compose.volume="+volume))
}

func only(t *testing.T, what, ids string) string {
	t.Helper()
	if len(strings.Fields(ids)) != 1 {
		t.Fatalf("%s: found %q, want exactly one", what, ids)
	}
	return ids
}

func (d *deployment) state(ctx context.Context, t *testing.T, service string) string {
	t.Helper()
	return d.docker(ctx, t, "inspect", "--format", "{{.State.Status}}", d.container(ctx, t, service))
}

func (d *deployment) imageBytes(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	size, err := strconv.ParseInt(d.docker(ctx, t, "inspect", "--format", "{{.Size}}", project), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// waitHealthy waits until the health check of a service's container passes.
func (d *deployment) waitHealthy(ctx context.Context, t *testing.T, service string) {
	t.Helper()
	begin, id := time.Now(), d.container(ctx, t, service)
	waitFor(ctx, t, service+" is healthy", healthyAfter, func() error {
		health := d.docker(ctx, t, "inspect", "--format", "{{.State.Status}}, {{.State.Health.Status}}", id)
		if health == "running, healthy" {
			return nil
		}
		last := d.docker(ctx, t, "inspect", "--format", "{{range .State.Health.Log}}{{.Output}}{{end}}", id)
		return fmt.Errorf("%s is %s; it says: %s", service, health, last[strings.LastIndexByte(last, '\n')+1:])
	})
	say(t, "%s is healthy after %v", service, time.Since(begin).Round(100*time.Millisecond))
}

// runNode starts n with docker run beside the nodes of the compose file.
func (d *deployment) runNode(ctx context.Context, t *testing.T, n loadcheck.Target, args ...string) {
	t.Helper()
	network := only(t, "network", d.docker(ctx, t, "network", "ls", "--quiet",
		"--filter", "label="+composeLabel))
	d.docker(ctx, t, append([]string{"run", "--detach", "--name", project + "-" + n.Name,
		"--label", runLabel, "--network", network, "--network-alias", n.Name,
		"--publish", strings.TrimPrefix(n.URL, "http://") + ":8080",
		"--env", "PXKV_NAME=" + n.Name, "--env", "PXKV_ADVERTISE=" + n.Name, project}, args...)...)
}
