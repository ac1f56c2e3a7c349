//go:build processes

package processes

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
	"pxkv/node/kv"
)

// replaceAfter is after how much silence the drama's nodes give a member up: the least that there is.
const replaceAfter = 10 * time.Second

// drama is the life of a cluster, act by act, under load.
type drama struct {
	*cluster
	ledger  loadcheck.Ledger
	members []*node // what clients use
	pairs   int     // that are written before the second act
	arrived arrivals
	tags    map[kv.PartitionID]string // that put a key into each partition
	acts    []act
	number  int
}

// act is what one took.
type act struct {
	name    string
	took    time.Duration
	moved   moved
	sum     loadcheck.Summary
	ops     int // on hot keys
	unknown int
	gap     time.Duration // longest in which no write to a hot key was acknowledged
	back    time.Duration // after which every partition took writes again when one was killed at its end; 0: none was
}

// TestDrama lets a cluster grow from one node to five, lose one in order and one for ever, restart, move to other
// addresses and shrink, under load: nothing that was acknowledged is lost, the histories are linearizable, and whenever
// /cluster says after an act that any one node may fail, one does, which the seed draws. DRAMA_PAIRS=n writes so many
// pairs of 1 KiB first; the table of docs/operations.md is made so.
func TestDrama(t *testing.T) {
	d := newDrama(t)
	n := d.nodes
	d.play("one node becomes three", func() {
		for _, joins := range n[1:3] {
			d.begin(joins)
		}
		d.complete()
	})
	d.play("the first to be told so is killed", func() { d.complete(); d.killOneThatMay(n[0]) })
	d.play("three become five", func() {
		for _, joins := range n[3:5] {
			d.begin(joins)
		}
		d.complete()
	})
	d.play("one leaves", func() { d.leave(n[1], n[2]) })
	d.play("one is killed for ever", func() { d.killForEver(n[3]) })
	d.play("another one joins", func() {
		d.begin(n[5])
		d.complete()
	})
	d.play("all are restarted in turn", d.restartInTurn)
	d.playUnseen("all get other addresses", d.moveAll)
	d.play("one leaves, three remain", func() { d.leave(n[4], n[0]) })
	t.Logf("\n%s", d.table())
	verify(t, &d.ledger, d.members)
}

func newDrama(t *testing.T) *drama {
	d := &drama{cluster: newCluster(t, 6), pairs: 2000}
	if v := os.Getenv("DRAMA_PAIRS"); v != "" {
		var err error
		if d.pairs, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range d.nodes {
		n.extra = append(n.extra, "--replace-after", replaceAfter.String())
		if n != d.nodes[0] {
			n.extra = append(n.extra, "--join", d.nodes[0].gossip+","+d.nodes[4].gossip)
		}
	}
	d.begin(d.nodes[0])
	var err error
	if d.tags, err = tags(d.nodes[0]); err != nil {
		t.Fatalf("find a key for every partition: %v", err)
	}
	d.fill()
	return d
}

// fill writes what has to be moved: values that compression does not shrink.
func (d *drama) fill() {
	rng, value := draw(d.t, "values"), make([]byte, 1<<10)
	for i := range d.pairs {
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		if err := put(d.t.Context(), d.nodes[0], fmt.Sprintf("pair-%d", i), value); err != nil {
			d.t.Fatal(err)
		}
	}
}

// begin starts a node, which is used by clients when it is ready.
func (d *drama) begin(n *node) {
	d.t.Helper()
	n.start()
	n.awaitReady()
	if !slices.Contains(d.members, n) {
		d.members = append(d.members, n)
	}
}

// play plays an act under load, through the nodes that are members when it begins and that it spares.
func (d *drama) play(name string, what func()) {
	d.t.Helper()
	d.number++
	before := d.weigh()
	through := slices.Clone(d.members)
	crowd := newCrowdOn(d.t, through, d.number*1_000_000)
	l := startLoad(d.t, &d.ledger, fmt.Sprintf("act-%d-", d.number), through)
	time.Sleep(loadAround)
	began, from := time.Now(), crowd.history.now()
	what()
	a := act{name: name, took: time.Since(began)}
	to := crowd.history.now()
	a.moved = d.since(&before)
	time.Sleep(loadAround)
	crowd.end()
	a.sum = l.end()
	if a.sum.Lost+a.sum.Failed > 0 {
		d.t.Errorf("%s: %v", name, a.sum)
	}
	ops := d.judged(name, crowd)
	writes, reads := unknowns(ops)
	a.ops, a.unknown = len(ops), writes+reads
	a.gap = longestGap(ops, from, to, func(*operation) bool { return true })
	a.back = d.killAnyOne(name)
	d.acts = append(d.acts, a)
	d.t.Logf("%s: %+v", name, a)
}

// playUnseen plays an act in which no client can find a node.
func (d *drama) playUnseen(name string, what func()) {
	d.t.Helper()
	d.number++
	before, began := d.weigh(), time.Now()
	what()
	a := act{name: name, took: time.Since(began), moved: d.since(&before)}
	a.back = d.killAnyOne(name)
	d.acts = append(d.acts, a)
}

// judged is what the clients of a crowd did that has ended, which one copy of the data could have answered.
func (d *drama) judged(name string, c *crowd) []operation {
	ops := c.history.all()
	if what := fault(ops); what != "" {
		d.t.Errorf("%s: the history is not linearizable: %s", name, what)
	}
	return ops
}

// health is what a node says of the cluster.
func (d *drama) health() (kv.ClusterView, error) {
	v, err := d.members[0].view()
	switch h := v.Health; {
	case err != nil:
		return v, err
	case h == nil:
		return v, fmt.Errorf("no health: %s", v.NotReady)
	case len(v.Members) != len(d.members):
		return v, fmt.Errorf("%d members of %d", len(v.Members), len(d.members))
	case !h.Served.Yes || !h.Complete.Yes || !h.MayFail.Yes:
		return v, fmt.Errorf("served %+v, complete %+v, may fail %+v", h.Served, h.Complete, h.MayFail)
	}
	return v, nil
}

// complete waits until everything is served and complete, and any one node may fail.
func (d *drama) complete() {
	d.t.Helper()
	await(d.t, "all is served and complete, and any one may fail", settledAfter, func() error {
		_, err := d.health()
		return err
	})
}

// leastToLoseOne is how many members there are when any one of them may fail.
const leastToLoseOne = 3

// killAnyOne waits until the cluster says that any one node may fail, and kills one in this moment, under load. It
// returns after what time every partition took writes again.
func (d *drama) killAnyOne(after string) time.Duration {
	d.t.Helper()
	if len(d.members) < leastToLoseOne {
		return 0
	}
	victim := d.members[draw(d.t, "victim", d.number).IntN(len(d.members))]
	crowd := newCrowdOn(d.t, slices.Clone(d.members), d.number*1_000_000+500_000)
	d.complete()
	back := d.killOneThatMay(victim)
	crowd.end()
	d.judged(victim.name+" is killed after: "+after, crowd)
	d.t.Logf("%s: then %s is killed, and everything is served again after %v (PROCESSES_SEED=%d)", after, victim.name,
		round(back), drawSeed())
	return back
}

// servedAfter is after what time the others must serve everything when one node is killed that may fail. It is many
// times what an election takes, and what nobody serves without that node stays unserved until it is started again.
const servedAfter = 5 * time.Second

// killOneThatMay kills a node of which the cluster has just said that it may fail, and starts it again when the others
// serve every partition. It returns after what time they did.
func (d *drama) killOneThatMay(n *node) (back time.Duration) {
	d.t.Helper()
	d.arrived.read(d)
	killed := time.Now()
	n.process.kill()
	members := d.members
	d.members = slices.DeleteFunc(slices.Clone(members), func(m *node) bool { return m == n })
	d.writeEverywhere(killed.Add(servedAfter))
	back = time.Since(killed)
	n.start()
	n.awaitReady()
	d.members = members
	d.complete()
	return back
}

// writeEverywhere writes to every partition through the members, which must take that before a deadline.
func (d *drama) writeEverywhere(deadline time.Time) {
	d.t.Helper()
	ctx, cancel := context.WithDeadline(d.t.Context(), deadline)
	defer cancel()
	var writing sync.WaitGroup
	for p, tag := range d.tags {
		writing.Go(func() {
			n := d.members[int(p)%len(d.members)]
			for {
				err := put(ctx, n, fmt.Sprintf("{%s}-act-%d", tag, d.number), []byte("served"))
				if err == nil {
					return
				}
				if ctx.Err() != nil {
					d.t.Errorf("the cluster said that any one node may fail; without one, partition %v is not served "+
						"within %v: %v", p, servedAfter, err)
					return
				}
				time.Sleep(30 * time.Millisecond) // between two questions to another process
			}
		})
	}
	writing.Wait()
}

// leave makes a node leave, asked for at another one, and waits for the end of its process.
func (d *drama) leave(at, n *node) {
	d.t.Helper()
	if at == n {
		d.t.Fatal("asked at itself")
	}
	d.arrived.read(d)
	d.members = slices.DeleteFunc(d.members, func(m *node) bool { return m == n })
	d.order(at, http.MethodPost, "/cluster/leave?node="+n.name)
	switch code, err := n.process.wait(settledAfter); {
	case err != nil:
		v, _ := at.view()
		d.t.Fatalf("%s leaves: %v: %+v", n.name, err, v.Members)
	case code != 0:
		d.t.Fatalf("%s has left with exit code %d", n.name, code)
	}
	d.complete()
}

// order asks a node for a change of members, until it is not refused.
func (d *drama) order(at *node, method, path string) {
	d.t.Helper()
	await(d.t, method+" "+path, settledAfter, func() error {
		req, err := http.NewRequestWithContext(d.t.Context(), method, at.url()+path, nil)
		if err != nil {
			return err
		}
		resp, err := viewer.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
}

// killForEver kills a node that never comes back, and waits until the cluster has given it up by itself.
func (d *drama) killForEver(n *node) {
	d.t.Helper()
	d.arrived.read(d)
	n.process.kill()
	d.members = slices.DeleteFunc(d.members, func(m *node) bool { return m == n })
	d.complete()
}

// restartInTurn restarts all members as an operator does it: the next one when the cluster says that it may stop.
func (d *drama) restartInTurn() {
	d.t.Helper()
	for i, n := range d.members {
		asked := d.members[(i+1)%len(d.members)]
		await(d.t, n.name+" may be stopped", settledAfter, func() error {
			_, _, err := asked.look("/cluster/safe-to-stop?node=" + n.name)
			return err
		})
		d.arrived.read(d)
		n.terminate()
		n.start()
		n.awaitReady()
	}
	d.complete()
}

// moveAll stops all members and starts them at other addresses, where nobody knows the others.
func (d *drama) moveAll() {
	d.t.Helper()
	d.arrived.read(d)
	for _, n := range d.members {
		n.process.signal(syscall.SIGTERM)
	}
	var gossip []string
	for _, n := range d.members {
		if code, err := n.process.wait(endsAfter); err != nil || code != 0 {
			d.t.Fatalf("%s ended with %d, %v", n.name, code, err)
		}
		n.http, n.resp, n.peer, n.gossip = freeAddress(d.t), freeAddress(d.t), freeAddress(d.t), freeAddress(d.t)
		gossip = append(gossip, n.gossip)
	}
	for _, n := range d.members {
		n.extra = []string{"--replace-after", replaceAfter.String(), "--join", strings.Join(gossip, ",")}
		n.start()
	}
	for _, n := range d.members {
		n.awaitReady()
	}
	d.complete()
}

func (d *drama) table() string {
	var b strings.Builder
	fmt.Fprintln(&b, "| act | took | KiB moved (least) | replicas built (least) | operations | failed | unknown "+
		"| lost | longest gap | one killed then: all served after |")
	fmt.Fprintln(&b, "|---|---|---|---|---|---|---|---|---|---|")
	for _, a := range d.acts {
		fmt.Fprintf(&b, "| %s | %v | %d (%d) | %d (%d) | %d | %d | %d | %d | %v | %v |\n", a.name, round(a.took),
			a.moved.bytes>>10, a.moved.leastBytes>>10, a.moved.replicas, a.moved.leastReplicas, a.sum.Acked+a.ops,
			a.sum.Failed, a.sum.Unknown+a.unknown, a.sum.Lost,
			round(cmp.Or(a.gap, time.Duration(a.sum.LongestGap)*time.Millisecond)), round(a.back))
	}
	return b.String()
}
