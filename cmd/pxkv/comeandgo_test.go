package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

// process is a node that runs as a process of its own, with its data on a disk.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	log string
}

// startProcess starts a node that joins the trio.
func (c *trio) startProcess(name, dir string) *process {
	c.t.Helper()
	log, err := os.Create(filepath.Join(c.t.TempDir(), "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	p := &process{t: c.t, log: log.Name()}
	p.cmd = exec.Command(os.Args[0], "serve", "--name", name, "--data-dir", dir, "--cluster", "test", "--join",
		c.seed[0], "--http", "127.0.0.1:0", "--resp", "", "--peer", "127.0.0.1:0", "--gossip",
		"127.0.0.1:0", "--advertise", "127.0.0.1")
	p.cmd.Env = append(os.Environ(), asCommand+"=1")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// end waits for the end of the process, and returns its exit code and log.
func (p *process) end() (code int, log string) {
	p.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		_ = p.cmd.Process.Kill()
		<-ended
		p.t.Errorf("the process does not end")
	}
	return p.cmd.ProcessState.ExitCode(), p.said()
}

func (p *process) said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// url is where the process serves HTTP.
func (p *process) url() string {
	found := regexp.MustCompile(` http="?(127\.0\.0\.1:[0-9]+)`).FindStringSubmatch(p.said())
	if found == nil {
		p.t.Fatalf("it serves nothing: %s", p.said())
	}
	return "http://" + found[1]
}

// complete waits until so many members hold all replicas.
func (c *trio) complete(members int, with ...*process) {
	c.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got := command(c.t, c.http["n1"], nil, "status", "-o", "json")
		var s status
		if err := json.Unmarshal([]byte(got.out), &s); err == nil && got.code == exitFine && s.Members == members {
			return
		}
		if time.Now().After(end) {
			for _, p := range with {
				c.t.Log(p.said())
			}
			c.t.Fatalf("the cluster does not become one of %d members: %s %s", members, got.out, got.errors)
		}
	}
}

// obeyed gives an order until it is not refused: for ten seconds a node may have been heard, and on a busy machine one
// may not answer for a moment.
func obeyed(t *testing.T, url string, args ...string) outcome {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		got := command(t, url, nil, args...)
		if got.code == exitFine {
			return got
		}
		if !regexp.MustCompile(`does not leave:|is not removed:`).MatchString(got.errors) || time.Now().After(end) {
			t.Fatalf("%q: %+v", args, got)
		}
	}
}

// A node comes, is asked to leave, stays after all, leaves; another one comes, dies, and is removed. What was written
// is there all the time.
func TestNodesComeAndGo(t *testing.T) {
	c := newTrio(t)
	do := func(args ...string) outcome { t.Helper(); return command(t, c.http["n1"], nil, args...) }
	for i := range 40 {
		c.put(t, fmt.Sprintf("k%02d", i), fmt.Sprint(i))
	}
	all := do("list").out
	holds := func(when string) {
		t.Helper()
		for _, name := range c.names {
			if got := command(t, c.http[name], nil, "list"); got.out != all {
				t.Errorf("%s, %s lists: %s %s", when, name, got.out, got.errors)
			}
		}
	}
	do("plan", "add", "n4").expect(t, exitFine, "n4", "")
	dir := t.TempDir()
	n4 := c.startProcess("n4", dir)
	c.complete(4, n4)

	var plan kv.PlanView
	got := do("plan", "remove", "n4", "-o", "json")
	if err := json.Unmarshal([]byte(got.out), &plan); err != nil || len(plan.Moves) == 0 || plan.Epoch == 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	given := 0
	for _, m := range plan.Moves {
		if slices.Contains(m.To, "n4") || m.Leader == "n4" {
			t.Errorf("of partition %s moves %+v", m.Partition, m)
		}
		if slices.Contains(m.From, "n4") {
			given++
		}
	}
	if i := slices.IndexFunc(c.members(), func(m kv.MemberView) bool { return m.Name == "n4" }); i < 0 ||
		given != c.members()[i].Wanted {
		t.Errorf("it gives up %d replicas: %+v", given, c.members())
	}
	do("leave", "n4", "--plan", fmt.Sprint(plan.Epoch-1)).expect(t, exitFailed, "", "look at the plan again")
	obeyed(t, c.http["n1"], "leave", "n4", "--wait=false", "--plan", fmt.Sprint(plan.Epoch)).
		expect(t, exitFine, "n4 is leaving", "")
	do("members").expect(t, exitFine, "n4 is leaving since 20", "")
	do("leave", "n4", "--cancel").expect(t, exitFine, "n4 stays in the cluster\n", "")
	c.complete(4)

	obeyed(t, n4.url(), "leave").expect(t, exitFine, "n4 has left the cluster\n", "n4 is leaving: ")
	if code, log := n4.end(); code != exitFine || !strings.Contains(log, "this node has left the cluster, and ends") {
		t.Errorf("its process ends with exit code %d: %s", code, log)
	}
	c.complete(3)
	holds("after n4 has left")
	do("members", "--removed").expect(t, exitFine, "it left when it was asked to", "")
	do("leave", "n4").expect(t, exitFailed, "", "is no member any more: it left when it was asked to")
	if code, log := c.startProcess("n4", dir).end(); code != exitFailed ||
		!strings.Contains(log, `has left cluster "test"`) || !strings.Contains(log, "empty data directory") {
		t.Errorf("started again on its directory, its process ends with exit code %d: %s", code, log)
	}

	n5 := c.startProcess("n5", t.TempDir())
	c.complete(4, n5)
	do("remove", "n5").expect(t, exitFailed, "", "n5 is not removed:")
	_ = n5.cmd.Process.Kill()
	n5.end()
	do("leave", "n1").expect(t, exitFailed, "", "n5 does not answer")
	obeyed(t, c.http["n1"], "remove", "n5").expect(t, exitFine, "n5 is removed\n", "")
	c.complete(3)
	holds("after n5 was removed")
	do("members", "--removed").expect(t, exitFine, "it was removed by an operator", "")
}
