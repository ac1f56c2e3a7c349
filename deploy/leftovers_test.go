//go:build containers

package deploy

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

const cleanUpLimit = 2 * time.Minute

// TestNothingIsLeft removes what a TestContainers left that was killed, and proves that
// nothing of it is there any more.
func TestNothingIsLeft(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	d := newDeployment(ctx, t)
	waitFor(ctx, t, "nothing is left", 30*time.Second, func() error {
		d.removeAll(t)
		left, err := d.leftovers(ctx)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("still there: %v", left)
		}
		return err
	})
}

// leftovers lists what removeAll should have removed. The container of a build step that was
// interrupted takes a moment to end.
func (d *deployment) leftovers(ctx context.Context) ([]string, error) {
	var left []string
	for _, list := range [][]string{
		{"ps", "--all", "--quiet", "--filter", "label=" + composeLabel},
		{"ps", "--all", "--quiet", "--filter", "label=" + runLabel},
		{"ps", "--all", "--quiet", "--filter", "label=" + buildLabel},
		{"volume", "ls", "--quiet", "--filter", "label=" + composeLabel},
		{"network", "ls", "--quiet", "--filter", "label=" + composeLabel},
		{"image", "ls", "--quiet", project},
	} {
		text, err := d.command(ctx, "docker", list...)
		if err != nil {
			return nil, err
		}
		for _, id := range strings.Fields(text) {
			left = append(left, list[0]+" "+id)
		}
	}
	return left, nil
}

// containers returns the ids of all containers of this test, running or not, and those of
// build steps that were interrupted.
func (d *deployment) containers(ctx context.Context) ([]string, error) {
	var ids []string
	for _, filter := range [][]string{
		{"--filter", "label=" + composeLabel},
		{"--filter", "label=" + runLabel},
		{"--filter", "label=" + buildLabel, "--filter", "status=exited", "--filter", "status=created", "--filter",
			"status=dead"},
	} {
		text, err := d.command(ctx, "docker", append([]string{"ps", "--all", "--quiet"}, filter...)...)
		if err != nil {
			return nil, err
		}
		ids = append(ids, strings.Fields(text)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// printViews prints how each node that answers sees the cluster.
func (d *deployment) printViews(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, n := range five {
		var view kv.ClusterView
		if err := show(ctx, n, "/cluster", &view); err != nil {
			say(t, "%s: %v", n.Name, err)
			continue
		}
		ready, err := ask(ctx, "GET", n.URL+"/readyz", "")
		if err != nil {
			ready = err.Error()
		}
		say(t, "%s: %s; %s", n.Name, ready, describe(view))
	}
}

func (d *deployment) printLogs(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ids, err := d.containers(ctx)
	if err != nil {
		say(t, "no logs: %v", err)
		return
	}
	for _, id := range ids {
		name, err := d.command(ctx, "docker", "inspect", "--format",
			"{{.Name}} ({{.State.Status}}, exit code {{.State.ExitCode}}, out of memory "+
				"{{.State.OOMKilled}}{{.State.Error}})", id)
		if err != nil {
			name = err.Error()
		}
		text, err := exec.CommandContext(ctx, "docker", "logs", "--tail", "60", id).CombinedOutput()
		say(t, "last lines of %s: %v\n%s", name, err, text)
	}
}

// removeAll removes the containers, volumes, network and image of this test.
func (d *deployment) removeAll(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpLimit)
	defer cancel()
	ids, err := d.containers(ctx)
	if err != nil {
		t.Fatalf("is the Docker engine running, and may you use it? %v", err)
	}
	if len(ids) > 0 {
		d.remove(ctx, t, "docker", append([]string{"rm", "--force", "--volumes"}, ids...)...)
	}
	d.remove(ctx, t, d.composeCommand[0], d.composeArgs("--profile", "scale", "down", "--volumes",
		"--remove-orphans")...)
	if _, err := d.command(ctx, "docker", "image", "inspect", project); err == nil {
		d.remove(ctx, t, "docker", "image", "rm", "--force", project)
	}
}

func (d *deployment) remove(ctx context.Context, t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := d.command(ctx, name, args...); err != nil {
		t.Errorf("clean up: %v", err)
	}
}
