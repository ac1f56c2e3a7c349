package member

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/kv"
	"pxkv/persist"
)

// Nodes that were started with one command line never become two clusters, whatever is lost, delayed,
// stopped, wiped or started again meanwhile; and they become one when all of that ends.
func TestOneCommandLineMakesOneCluster(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := &town{t: rt, sure: time.Second, clusters: map[kv.ClusterID]bool{}}
		w.expect = rapid.IntRange(1, 4).Draw(rt, "expect")
		places := w.expect + rapid.IntRange(0, 3).Draw(rt, "more places than expected")
		// --join names all places, or those of the first nodes, which then are there from the beginning.
		w.join = rapid.SampledFrom([]int{places, w.expect}).Draw(rt, "places of --join")
		w.backward = rapid.Bool().Draw(rt, "backward")
		for i := range places {
			h := &house{place: i + 1, refused: map[int]time.Duration{}}
			w.houses = append(w.houses, h)
			if i < w.expect && w.join < places {
				w.start(h)
			}
		}
		for range rapid.IntRange(20, 300).Draw(rt, "steps") {
			w.step(true)
		}
		w.calm()
		for range 600 {
			if w.together() {
				return
			}
			w.step(false)
		}
		rt.Fatalf("no cluster without any fault: %s", w)
	})
}

// town is a small world of houses in which nodes live.
type town struct {
	t        *rapid.T
	now      time.Duration
	sure     time.Duration
	expect   int
	join     int // the first so many places are at --join
	houses   []*house
	ids      kv.NodeID
	clusters map[kv.ClusterID]bool
	letters  []letter // that are under way, late
	faulty   bool
	backward bool // the last node has the smallest name
}

// house is a place, and the node that lives there.
type house struct {
	place   int
	id      kv.NodeID // 0: nobody ever did
	starts  uint64
	promise persist.Promise // on its disk
	cluster kv.ClusterID    // on its disk
	f       *Formation      // nil: it is down
	down    time.Duration   // since
	paused  time.Duration   // until
	refused map[int]time.Duration
}

type letter struct {
	due    time.Duration
	arrive func()
}

func (w *town) draw(what string, n int) int { return rapid.IntRange(0, n-1).Draw(w.t, what) }

// happens is true once in so many times, while there are faults.
func (w *town) happens(what string, onceIn int) bool {
	return w.faulty && w.draw(what, onceIn) == onceIn-1
}

func (w *town) name(h *house) string {
	if w.backward {
		return fmt.Sprintf("n%d", 9-h.place)
	}
	return fmt.Sprintf("n%d", h.place)
}

func (w *town) start(h *house) {
	if h.id == 0 {
		w.ids++
		*h = house{place: h.place, id: w.ids * 7 % 101, refused: h.refused}
	}
	h.starts++
	h.f = NewFormation(FormationOptions{
		Self: h.id, Name: w.name(h), Expect: w.expect, Starts: h.starts, Promise: h.promise, Sure: w.sure,
	})
}

func (w *town) crash(h *house) { h.f, h.down, h.paused = nil, w.now, 0 }

// step lets some time pass.
func (w *town) step(faulty bool) {
	w.faulty = faulty
	w.now += time.Duration(20+w.draw("milliseconds", 200)) * time.Millisecond
	due := w.letters
	w.letters = nil
	for _, l := range due {
		if l.due > w.now {
			w.letters = append(w.letters, l)
		} else {
			l.arrive()
		}
	}
	for _, h := range w.houses {
		w.strike(h)
		if h.f == nil || h.paused > w.now || h.cluster != 0 {
			continue
		}
		w.look(h)
		for _, o := range w.houses {
			if o != h && o.id != 0 {
				w.ask(h, o)
			}
		}
		w.decide(h)
	}
}

// strike draws what happens to a node. Nobody is down for as long as it takes to be sure of it: a
// cluster all of whose nodes are down cannot be seen.
func (w *town) strike(h *house) {
	switch {
	case h.f == nil && h.id == 0 && (!w.faulty || w.happens("first start", 20)):
		w.start(h)
	case h.f == nil && h.id != 0 && (w.now-h.down > w.sure/3 || w.happens("start", 2)):
		w.start(h)
	case h.f != nil && w.happens("crash", 40):
		w.crash(h)
	case h.f != nil && w.happens("wipe", 80) && (h.cluster == 0 || w.others(h) > 0):
		w.crash(h)
		h.id = 0
		w.start(h)
	case h.f != nil && w.happens("pause", 30):
		h.paused = w.now + time.Duration(w.draw("pause of 100 ms", 60))*100*time.Millisecond
	}
}

// others counts the other members of a node's cluster at addresses of --join: without any, it cannot
// be found.
func (w *town) others(h *house) (n int) {
	for _, o := range w.houses[:w.join] {
		if o != h && o.cluster == h.cluster {
			n++
		}
	}
	return n
}

func (w *town) look(h *house) {
	var seen []Place
	for _, o := range w.houses[:w.join] {
		p := Place{Address: w.name(o), At: at(o.place)}
		switch {
		case o.f == nil:
			p.Refused = true
		case o.paused > w.now || w.happens("look in vain", 8):
			p.Fault = "timeout"
		default:
			p.Node, p.Cluster, p.Expect = o.id, o.cluster, w.expect
		}
		seen = append(seen, p)
	}
	h.f.Looked(w.now, seen)
}

// words are what a member says, or else its Formation.
func (w *town) words(h *house) Words {
	if h.cluster != 0 {
		return Words{Name: w.name(h), Cluster: h.cluster}
	}
	return h.f.Words(w.now)
}

// ask sends a question, which may be lost or come late, and so may the answer.
func (w *town) ask(h, to *house) {
	life, asked, question := h.f, w.now, w.words(h)
	id := to.id
	w.send(func() {
		if to.f == nil || to.id != id || to.paused > w.now {
			return
		}
		answer := w.words(to)
		if to.cluster == 0 {
			answer = to.f.Asked(w.now, h.id, question)
			to.promise = to.f.Promise()
			if w.happens("crash before the answer", 30) {
				w.crash(to)
				return
			}
		}
		w.send(func() {
			if h.f == life && h.paused <= w.now && h.cluster == 0 {
				h.f.Answered(asked, id, answer)
				h.promise = h.f.Promise()
			}
		})
	})
}

func (w *town) send(arrive func()) {
	switch {
	case w.happens("lost", 6):
	case w.happens("late", 6):
		w.letters = append(w.letters, letter{
			w.now + time.Duration(w.draw("lateness of 100 ms", 100))*100*time.Millisecond, arrive,
		})
	default:
		arrive()
	}
}

func (w *town) decide(h *house) {
	d, _ := h.f.Decide(w.now)
	switch {
	case w.happens("crash before it is done", 30):
		w.crash(h)
		return
	case d == Form && w.happens("pause before it is done", 3):
		h.paused = w.now + time.Duration(w.draw("pause of 100 ms", 60))*100*time.Millisecond
		return // what is decided is done when it goes on
	}
	switch d {
	case Form:
		h.cluster = kv.ClusterID(len(w.clusters) + 1)
		if w.clusters[h.cluster] = true; len(w.clusters) > 1 {
			w.t.Fatalf("%s forms a second cluster: %s", w.name(h), w)
		}
	case Join:
		h.cluster = h.f.found
	}
}

// calm ends all faults. Who has promised something to a node that was wiped gets an empty directory, as
// its log says.
func (w *town) calm() {
	w.letters = nil
	for _, h := range w.houses {
		h.paused = 0
		gone := h.promise.To != 0 && !slices.ContainsFunc(w.houses, func(o *house) bool { return o.id == h.promise.To })
		if gone && h.cluster == 0 {
			w.crash(h)
			h.id = 0
		}
	}
}

func (w *town) together() bool {
	return !slices.ContainsFunc(w.houses, func(h *house) bool { return h.cluster == 0 })
}

func (w *town) String() string {
	s := fmt.Sprintf("at %v, %d expected, --join of %d, clusters %v", w.now, w.expect, w.join,
		slices.Sorted(maps.Keys(w.clusters)))
	for _, h := range w.houses {
		s += fmt.Sprintf("\nn%d is node %s, cluster %v, paused until %v, promise %+v", h.place, h.id, h.cluster,
			h.paused, h.promise)
		if h.f != nil {
			_, why := h.f.Decide(w.now)
			s += fmt.Sprintf(", waits for %q", why)
		}
	}
	return s
}
