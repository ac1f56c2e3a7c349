//go:build processes

package processes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
)

// TestALeaderThatIsCutOffOneWay lets the node that leads most hear the others no longer, and then another one be heard
// by them no longer, while clients reach all nodes. Through the others what it led must be served again, by another
// leader; and the node that is cut off must say that it cannot serve, so that its clients can ask another one. It
// prints how long requests took.
func TestALeaderThatIsCutOffOneWay(t *testing.T) {
	w := newFirewall(t)
	c := newCluster(t, 3)
	join := strings.Join([]string{c.nodes[0].gossip, c.nodes[1].gossip, c.nodes[2].gossip}, ",")
	for i, n := range c.nodes {
		n.extra = []string{"--join", join, "--bootstrap-expect", "3", "--partitions", "12"}
		plain(n)
		w.guard(n, 60001+i)
		n.start()
	}
	c.awaitReady()
	c.awaitSettled()
	f := &failover{build: "this build", cluster: c, acked: map[string]uint64{}}
	var err error
	if f.tags, err = tags(c.nodes[0]); err != nil {
		t.Fatalf("find a key for every partition: %v", err)
	}
	f.cutOff(t, "hears nobody", w.deafen, w.heal)
	f.cutOff(t, "is heard by nobody", w.mute, w.heal)
	f.nothingIsMissing(t)
}

// cutOff lets clients ask all nodes for what one of them leads, cuts that off, and heals it.
func (f *failover) cutOff(t *testing.T, how string, cut func(*node), heal func()) {
	t.Helper()
	f.awaitComplete(t)
	victim := f.leader(t)
	askers := f.askers(f.led(t, victim))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var asking sync.WaitGroup
	for _, a := range askers {
		asking.Go(func() { a.work(ctx) })
	}
	time.Sleep(failoverCalm)
	began := time.Now()
	cut(victim)
	await(t, "the others serve, and the one that is cut off says that it cannot", readyAfter, func() error {
		for _, a := range askers {
			wanted := func(status int) bool { return status == http.StatusServiceUnavailable }
			if a.nodes[0] != victim {
				wanted = served
			}
			if !a.got(began.Add(2*failoverCalm), wanted) { // before that, the cut may not be noticed
				return fmt.Errorf("%s through %s", a.key, a.nodes[0].name)
			}
		}
		return nil
	})
	healed := time.Now()
	heal()
	await(t, "everybody serves again", readyAfter, func() error {
		for _, a := range askers {
			if !a.got(healed, served) {
				return fmt.Errorf("%s through %s", a.key, a.nodes[0].name)
			}
		}
		return nil
	})
	stop()
	asking.Wait()
	for _, a := range askers {
		t.Logf("%s %s, asked through %s: %s", victim.name, how, a.nodes[0].name, a.report(began, healed))
		if a.surprise != nil {
			t.Error(a.surprise)
		}
		if _, value := a.last(); value > 0 {
			f.acked[a.key] = value
		}
	}
}

// asker writes to one key through one node, or reads one, again and again.
type asker struct {
	failoverClient
	asked []asked // guarded by mu
}

type asked struct {
	at     time.Time
	took   time.Duration
	status int // 0: none came
}

// served reports whether a request was done.
func served(status int) bool {
	return status == http.StatusOK || status == http.StatusCreated || status == http.StatusNotFound
}

// askers are two at each node, for different partitions where there are two.
func (f *failover) askers(led []kv.PartitionID) []*asker {
	var out []*asker
	for _, n := range f.cluster.nodes {
		for i, p := range led[:min(len(led), 2)] {
			f.kills++
			out = append(out, &asker{failoverClient: failoverClient{
				nodes: []*node{n}, partition: p, key: fmt.Sprintf("{%s}-asked-%d", f.tags[p], f.kills), reads: i == 1,
				http: &http.Client{Timeout: failoverPatience},
			}})
		}
	}
	return out
}

func (a *asker) work(ctx context.Context) {
	defer a.http.CloseIdleConnections()
	for ctx.Err() == nil {
		one := asked{at: time.Now()}
		method, body := http.MethodGet, ""
		if !a.reads {
			a.value++
			method, body = http.MethodPut, strconv.FormatUint(a.value, 10)
		}
		_, one.status, _ = a.ask(method, body)
		one.took = time.Since(one.at)
		a.mu.Lock()
		a.asked = append(a.asked, one)
		if !a.reads && served(one.status) {
			a.acks, a.acked = append(a.acks, time.Now()), a.value
		}
		a.mu.Unlock()
		time.Sleep(5 * time.Millisecond) // the machine has others to serve
	}
}

// got reports whether a request that was made after a moment ended so.
func (a *asker) got(after time.Time, wanted func(status int) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.asked, func(x asked) bool { return x.at.After(after) && wanted(x.status) })
}

// report tells how the requests of some time ended.
func (a *asker) report(from, to time.Time) string {
	kind := "writes"
	if a.reads {
		kind = "reads"
	}
	var longest time.Duration
	ended := map[int]int{}
	for _, x := range a.asked {
		if x.at.Add(x.took).After(from) && x.at.Before(to) {
			longest = max(longest, x.took)
			ended[x.status]++
		}
	}
	return fmt.Sprintf("the longest of the %s took %v, by status %v", kind, round(longest), ended)
}

// firewall drops what nodes say to each other, by the users that they run as.
type firewall struct {
	t     *testing.T
	table string
	users map[*node]int
}

func newFirewall(t *testing.T) *firewall {
	t.Helper()
	w := &firewall{t: t, table: fmt.Sprintf("pxkv%d", os.Getpid()), users: map[*node]int{}}
	if os.Getuid() != 0 {
		t.Skip("only root can drop packets")
	}
	if out, err := exec.Command("nft", "add", "table", "ip", w.table).CombinedOutput(); err != nil {
		t.Skipf("no packets can be dropped here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "ip", w.table).Run() })
	w.nft("add chain ip %s out { type filter hook output priority 0 ; }", w.table)
	return w
}

func (w *firewall) nft(format string, args ...any) {
	w.t.Helper()
	line := strings.Fields(fmt.Sprintf(format, args...))
	if out, err := exec.Command("nft", line...).CombinedOutput(); err != nil {
		w.t.Fatalf("nft %s: %v: %s", line, err, out)
	}
}

// guard lets a node run as a user of its own.
func (w *firewall) guard(n *node, user int) {
	w.t.Helper()
	w.users[n] = user
	n.by = []string{"setpriv", "--reuid", strconv.Itoa(user), "--clear-groups"}
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chown(n.dir, user, 0); err != nil {
		w.t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(n.dir), filepath.Dir(filepath.Dir(n.dir)), filepath.Dir(program)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ports lists those that nodes listen at for each other.
func ports(nodes ...*node) string {
	var out []string
	for _, n := range nodes {
		for _, at := range []string{n.peer, n.gossip} {
			_, port, _ := net.SplitHostPort(at)
			out = append(out, port)
		}
	}
	return "{" + strings.Join(out, ",") + "}"
}

func (w *firewall) others(victim *node) (out []*node) {
	for n := range w.users {
		if n != victim {
			out = append(out, n)
		}
	}
	return out
}

func (w *firewall) drop(by *node, format string, args ...any) {
	w.t.Helper()
	w.nft("add rule ip %s out meta skuid %d %s counter drop", w.table, w.users[by], fmt.Sprintf(format, args...))
}

// mute drops all that a node says to others.
func (w *firewall) mute(victim *node) {
	w.t.Helper()
	theirs := ports(append(w.others(victim), victim)...)
	for _, l4 := range []string{"tcp", "udp"} {
		w.drop(victim, "%s dport %s", l4, theirs)
		w.drop(victim, "%s sport %s", l4, theirs)
	}
}

// deafen drops all that others say to a node: at its ports, and at those ends of connections that it made. It can
// make no new ones.
func (w *firewall) deafen(victim *node) {
	w.t.Helper()
	theirs := ports(w.others(victim)...)
	own := w.connected(victim, theirs)
	w.drop(victim, "tcp dport %s tcp flags & (syn|ack) == syn", theirs)
	for _, n := range w.others(victim) {
		for _, l4 := range []string{"tcp", "udp"} {
			w.drop(n, "%s dport %s", l4, ports(victim))
		}
		if len(own) > 0 {
			w.drop(n, "tcp dport {%s}", strings.Join(own, ","))
		}
	}
}

// connected lists the ports of a node's connections with the others.
func (w *firewall) connected(victim *node, theirs string) (own []string) {
	w.t.Helper()
	out, err := exec.Command("ss", "-tnpH", "state", "established").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	wanted := strings.Split(strings.Trim(theirs, "{}"), ",")
	pid := fmt.Sprintf("pid=%d,", victim.process.cmd.Process.Pid)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.Contains(line, pid) {
			continue
		}
		_, local, _ := net.SplitHostPort(f[2])
		_, remote, _ := net.SplitHostPort(f[3])
		if slices.Contains(wanted, remote) {
			own = append(own, local)
		}
	}
	return own
}

func (w *firewall) heal() {
	w.t.Helper()
	w.nft("flush chain ip %s out", w.table)
}
