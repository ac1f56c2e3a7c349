//go:build processes

package processes

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"pxkv/node/kv"
)

const (
	wantedOps = 50_000
	before    = time.Second     // load before a fault and after it
	killedFor = 4 * time.Second // how long a killed node stays away
	maxGap    = 2 * time.Second // in which no write to a partition is acknowledged after its leader was killed
	// this many kills before the median gap counts: the machine may be busy with other things
	maxKills = 3
	moreOps  = 60 * time.Second // for the operations that are still missing after the faults
)

// TestFaultsAreLinearizable records what clients ask of all nodes and are told while faults
// strike one after the other, and then looks for one order of all that which a single copy of
// the data could have produced.
func TestFaultsAreLinearizable(t *testing.T) {
	s := newStrikes(t, startThree(t))
	killed := s.killLeader()
	for _, pause := range []time.Duration{time.Second, 5 * time.Second, 22 * time.Second} {
		s.freeze(pause)
	}
	s.killAndRestart("SIGKILL of another node", s.cluster.but(killed)[0])
	s.restart()
	s.killAll()

	await(t, fmt.Sprintf("%d operations are recorded", wantedOps), moreOps, func() error {
		if n := s.crowd.history.len(); n < wantedOps {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	s.crowd.end()
	ops := s.crowd.history.all()
	writes, reads := unknowns(ops)
	t.Logf("%d operations in %v; of unknown outcome: %d writes and %d reads; certainly not done and not counted: %d "+
		"connections refused, %d answers 503",
		len(ops), round(time.Since(s.crowd.history.began)), writes, reads, s.crowd.history.refused,
		s.crowd.history.unavailable)
	begin := time.Now()
	if what := fault(ops); what != "" {
		t.Fatalf("the history is not linearizable: %s", what)
	}
	t.Logf("the history is linearizable (checked in %v)", round(time.Since(begin)))
}

// strikes are the faults, one after the other, under one crowd.
type strikes struct {
	t       *testing.T
	cluster *cluster
	crowd   *crowd
	tags    map[kv.PartitionID]string
	count   int
}

func newStrikes(t *testing.T, c *cluster) *strikes {
	t.Helper()
	found, err := tags(c.nodes[0])
	if err != nil {
		t.Fatalf("find a key for every partition: %v", err)
	}
	return &strikes{t: t, cluster: c, crowd: newCrowd(t, c.nodes), tags: found}
}

// leader returns the node that leads most partitions.
func (s *strikes) leader() *node {
	s.t.Helper()
	v, err := s.cluster.nodes[0].view()
	if err != nil {
		s.t.Fatal(err)
	}
	most := v.Members[0]
	for _, m := range v.Members {
		if m.Leaders > most.Leaders {
			most = m
		}
	}
	return s.cluster.named(most.Name)
}

// strike measures a fault: it probes the partitions that the victim leads through the other
// nodes, lets the fault happen, waits until everything is as before, and returns the longest
// time in which one of those partitions took no writes. With no victim all nodes are struck:
// all partitions are probed through all nodes.
func (s *strikes) strike(name string, victim *node, happen func()) time.Duration {
	s.t.Helper()
	s.cluster.awaitSettled()
	s.count++
	through, partitions := s.cluster.nodes, []kv.PartitionID(nil)
	if victim != nil {
		through = s.cluster.but(victim)
		var err error
		if partitions, err = ledBy(victim, through[0]); err != nil {
			s.t.Fatal(err)
		}
	} else {
		for p := range s.tags {
			partitions = append(partitions, p)
		}
	}
	p := s.crowd.probe(fmt.Sprintf("strike%d", s.count), through, partitions, s.tags)
	defer p.end()
	time.Sleep(before)
	from := s.crowd.history.now()
	happen()
	s.cluster.awaitReady()
	time.Sleep(before)
	to := s.crowd.history.now()
	p.end()
	gaps := p.gaps(from, to)
	if len(gaps) == 0 {
		s.t.Fatalf("%s: the victim %s led no partition", name, victim.name)
	}
	all := longestGap(s.crowd.history.all(), from, to, func(*operation) bool { return true })
	worst := gaps[len(gaps)-1]
	s.t.Logf("%s: no write at all for %v; per partition that was struck (%d): shortest %v, median %v, longest %v "+
		"(partition %v); all over after %v",
		name, round(all), len(gaps), round(gaps[0].Duration), round(gaps[len(gaps)/2].Duration), round(worst.Duration),
		worst.partition, round(time.Duration(to-from)-before))
	return worst.Duration
}

// killLeader kills the node that leads most and asserts how soon the others take writes for
// its partitions. One kill that was quick enough will do; else the median of three counts.
// It returns the node that was killed last.
func (s *strikes) killLeader() (victim *node) {
	s.t.Helper()
	var gaps []time.Duration
	for len(gaps) == 0 || gaps[0] >= maxGap && len(gaps) < maxKills {
		victim = s.leader()
		gaps = append(gaps, s.killAndRestart("SIGKILL of the node that leads most", victim))
	}
	if median(gaps) >= maxGap {
		s.t.Errorf("after SIGKILL of their leader partitions took no writes for %v (longest of each kill), want a "+
			"median below %v", gaps, maxGap)
	}
	return victim
}

func (s *strikes) killAndRestart(name string, victim *node) time.Duration {
	s.t.Helper()
	return s.strike(fmt.Sprintf("%s (%s)", name, victim.name), victim, func() {
		victim.process.kill()
		time.Sleep(killedFor)
		victim.start()
	})
}

// freeze stops the node that leads most for a while: it neither answers nor closes a
// connection, and afterwards it goes on as if no time had passed.
func (s *strikes) freeze(pause time.Duration) {
	s.t.Helper()
	victim := s.leader()
	s.strike(fmt.Sprintf("SIGSTOP of %v (%s)", pause, victim.name), victim, func() {
		victim.process.signal(syscall.SIGSTOP)
		time.Sleep(pause)
		victim.process.signal(syscall.SIGCONT)
	})
}

func (s *strikes) restart() {
	s.t.Helper()
	victim := s.leader()
	s.strike(fmt.Sprintf("SIGTERM and restart (%s)", victim.name), victim, func() {
		victim.terminate()
		victim.start()
	})
}

func (s *strikes) killAll() {
	s.t.Helper()
	s.strike("SIGKILL of all nodes at once", nil, func() {
		for _, n := range s.cluster.nodes {
			n.process.signal(syscall.SIGKILL)
		}
		for _, n := range s.cluster.nodes {
			n.process.kill()
			n.start()
		}
	})
}
