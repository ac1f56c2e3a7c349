package member

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pxkv/node/kv"
	"pxkv/persist"
)

// DefaultSure is for how long connections to an address of --join must be refused, whenever it is
// tried, until it is sure that no node is there: longer than a process takes to start again.
const DefaultSure = 5 * time.Second

// What is known of others is forgotten after a while: a decision rests on what was so a moment ago,
// also when the process stood still since.
const (
	heardFor  = 1500 * time.Millisecond // from the question on whose answer it is
	lookedFor = 3 * time.Second         // from the beginning of the look
	lookStep  = 500 * time.Millisecond  // most that one look adds to the time in which an address refused
)

// MostNodes is how many nodes can form a cluster together.
const MostNodes = 1024

// Place is one address at which --join looks for nodes, and what was found there. A name may lead to
// several.
type Place struct {
	Address string         // as it was given
	At      netip.AddrPort // where it led; the zero value when the name does not resolve
	Node    kv.NodeID      // who answers there; 0: nobody did
	// Incarnation is that of the process that answers there; 0: nobody says.
	Incarnation uint64
	Own         bool         // the address is the one that this node advertises
	Cluster     kv.ClusterID // of that node; 0: it is fresh
	Expect      int          // its --bootstrap-expect while it is fresh
	Foreign     string       // the name of its cluster, when that is not the own one: no node of ours is there
	Refused     bool         // nobody listens there: its host says so
	Fault       string       // why it is not known who is there
}

// Words are what a fresh node tells another one that it speaks with.
type Words struct {
	Name    string       `json:"name"`
	Cluster kv.ClusterID `json:"cluster,omitzero"` // that it is in
	Found   kv.ClusterID `json:"found,omitzero"`   // that it knows of, and is about to join
	Expect  int          `json:"expect,omitzero"`
	// Sees are the nodes with which it would form a cluster, itself among them, by id; none while it
	// still waits for something, which Why tells.
	Sees []kv.NodeID `json:"sees,omitempty"`
	Why  string      `json:"why,omitzero"`
	// Number counts its proposals, over its starts. Open: it may yet form a cluster by that one, with
	// the nodes that it sees. A proposal that was closed is never opened again.
	Number  uint64          `json:"number,omitzero"`
	Open    bool            `json:"open,omitzero"`
	Promise persist.Promise `json:"promise,omitzero"` // that it gave to another
}

// maxWhy is how many bytes of a reason travel.
const maxWhy = 400

// Validate reports whether another node can have said this.
func (w *Words) Validate() error {
	switch {
	case len(w.Sees) > MostNodes:
		return fmt.Errorf("%d nodes to form a cluster, at most %d are possible", len(w.Sees), MostNodes)
	case len(w.Why) > maxWhy || len(w.Name) > 255:
		return fmt.Errorf("a name of %d bytes and a reason of %d, at most 255 and %d are possible", len(w.Name),
			len(w.Why), maxWhy)
	case w.Expect < 0 || !slices.IsSorted(w.Sees):
		return fmt.Errorf("%d nodes expected, or the nodes are not in order", w.Expect)
	}
	return nil
}

// Formation decides what becomes of a fresh node: it joins a cluster that it finds, or it forms one
// with other fresh nodes, or it waits. Never do two clusters come of one command line: one is formed
// only by nodes that have spoken with each other directly and name the same set, each of which has
// reached every address of --join, or is sure that nobody is there.
//
// It is a two-phase commit. The node with the smallest name proposes the set once all of it name the
// same. Each of the others promises to form a cluster by that proposal only, and keeps that on disk,
// until the one that proposed says that the proposal is closed. When all have promised, that one forms
// the cluster, and the others find it. Two sets that have a node in common can so never both become
// clusters, and two that have none would have met at the addresses of --join. A node that proposed
// and does not come back keeps those waiting that have promised: it may have formed the cluster.
// (J. Gray, Notes on Data Base Operating Systems, 1978.)
//
// Formation is not safe for use by several goroutines.
type Formation struct {
	o       FormationOptions
	heard   map[kv.NodeID]heard
	places  []Place
	looked  time.Duration
	look    bool                             // there was one
	refused map[netip.AddrPort]time.Duration // for how long each has done nothing else
	found   kv.ClusterID

	number  uint64
	open    bool
	set     []kv.NodeID // proposed, while open
	formed  bool        // decided, and not to be taken back
	promise persist.Promise
}

// FormationOptions say who the node is. All but Promise and Sure are required.
type FormationOptions struct {
	Self   kv.NodeID
	Name   string
	Expect int    // least number of fresh nodes that form a cluster; 0: this one only joins
	Starts uint64 // of the node, on disk before it speaks to anybody
	// Incarnation of the process, to tell it from one that runs on a copy of its directory; 0: it has none.
	Incarnation uint64
	Promise     persist.Promise // that was found on disk
	Sure        time.Duration   // 0: DefaultSure
}

type heard struct {
	words Words
	at    time.Duration
}

// Decision is what a fresh node is to do.
type Decision int

// What a fresh node can do. Join and Form are final.
const (
	Wait Decision = iota
	Join          // find the way into the cluster that is there
	Form          // make a cluster; the others find it
)

// NewFormation returns a Formation that knows nothing of others yet.
func NewFormation(o FormationOptions) *Formation {
	if o.Sure == 0 {
		o.Sure = DefaultSure
	}
	return &Formation{
		o: o, promise: kept(o.Promise), number: o.Starts << 32,
		heard: map[kv.NodeID]heard{}, refused: map[netip.AddrPort]time.Duration{},
	}
}

// kept is the promise that was found on disk.
func kept(p persist.Promise) persist.Promise {
	if promiseForgotten {
		return persist.Promise{}
	}
	return p
}

// Promise is what must be on disk before anything that the node says leaves it.
func (f *Formation) Promise() persist.Promise { return f.promise }

// Found tells it of a cluster that exists.
func (f *Formation) Found(c kv.ClusterID) {
	if c != 0 && !f.formed {
		f.found, f.open = c, false
	}
}

// Looked takes what a look at all addresses of --join found that began at that moment.
func (f *Formation) Looked(began time.Duration, places []Place) {
	step := min(max(0, began-f.looked), lookStep)
	if !f.look {
		step = 0
	}
	since := map[netip.AddrPort]time.Duration{}
	for _, p := range places {
		if was, again := f.refused[p.At]; p.Refused && again {
			since[p.At] = was + step
		} else if p.Refused {
			since[p.At] = 0
		}
		if p.Foreign == "" {
			f.Found(p.Cluster)
		}
	}
	f.places, f.refused, f.looked, f.look = places, since, began, true
}

// ToAsk are the nodes that it must speak with, beside those that gossip knows, in no order.
func (f *Formation) ToAsk() []kv.NodeID {
	var out []kv.NodeID
	for _, p := range f.places {
		if p.Node != 0 && p.Node != f.o.Self && p.Foreign == "" {
			out = append(out, p.Node)
		}
	}
	if f.promise.To != 0 {
		out = append(out, f.promise.To)
	}
	return out
}

// Answered takes the answer to a question that was asked at that moment.
func (f *Formation) Answered(asked time.Duration, from kv.NodeID, w Words) {
	if from == f.o.Self {
		return
	}
	f.learn(from, w)
	if len(f.heard) > MostNodes {
		maps.DeleteFunc(f.heard, func(_ kv.NodeID, h heard) bool { return asked-h.at > heardFor })
	}
	if old, ok := f.heard[from]; !ok || old.at <= asked {
		f.heard[from] = heard{w, asked}
	}
}

// Asked takes the question of another node and returns the answer, which must not leave before
// Promise is on disk. A question may be old: what it says of its node counts only where that
// can never be taken back.
func (f *Formation) Asked(now time.Duration, from kv.NodeID, w Words) Words {
	f.learn(from, w)
	set, why := f.view(now)
	free := f.promise.To == 0 || f.promise.To == from && w.Number > f.promise.Number
	if w.Open && free && from != f.o.Self && len(why) == 0 && f.found == 0 && !f.formed && slices.Equal(w.Sees, set) &&
		f.first(set) == from {
		f.open = false
		f.promise = persist.Promise{To: from, Number: w.Number}
	}
	return f.Words(now)
}

// learn takes what stays true for ever.
func (f *Formation) learn(from kv.NodeID, w Words) {
	f.Found(w.Cluster)
	p := f.promise
	if from == p.To && (w.Number > p.Number || w.Number == p.Number && !w.Open) {
		f.promise = persist.Promise{} // that proposal is closed
	}
}

// Words are what it says of itself.
func (f *Formation) Words(now time.Duration) Words {
	w := Words{Name: f.o.Name, Found: f.found, Expect: f.o.Expect, Number: f.number, Open: f.open, Promise: f.promise}
	if f.formed {
		w.Sees = f.set
		return w
	}
	set, why := f.view(now)
	if len(why) > 0 || f.found != 0 {
		w.Why = strings.Join(why, "; ")
		w.Why = strings.ToValidUTF8(w.Why[:min(len(w.Why), maxWhy)], "")
		return w
	}
	w.Sees = set
	return w
}

// Decide says what to do, and for what it waits.
func (f *Formation) Decide(now time.Duration) (_ Decision, why []string) {
	switch {
	case f.formed:
		return Form, nil
	case f.found != 0:
		return Join, nil
	case f.o.Expect == 0:
		alone := "no cluster was found yet, and without --bootstrap-expect this node forms none"
		return Wait, append([]string{alone}, f.foreign()...)
	}
	set, why := f.view(now)
	if len(why) == 0 {
		why = f.disagree(set)
	}
	if len(why) > 0 || f.first(set) != f.o.Self || f.open && !slices.Equal(set, f.set) {
		f.open = false
	}
	if p := f.promise; p.To != 0 {
		why = append(why,
			fmt.Sprintf("this node has promised %s to form a cluster with it only, and waits for its word: if that "+
				"one is down, start it; if its data directory is lost, start this one with an empty one too, since "+
				"nothing is in it", f.called(p.To)))
	}
	switch {
	case len(why) > 0:
		return Wait, append(why, f.foreign()...)
	case f.first(set) != f.o.Self:
		return Wait, []string{fmt.Sprintf("%s is about to form the cluster", f.called(f.first(set)))}
	case !f.open:
		f.number++
		f.open, f.set = true, set
	}
	for _, id := range set {
		switch p := f.heard[id].words.Promise; {
		case id == f.o.Self || p == persist.Promise{To: f.o.Self, Number: f.number}:
		case p.To != 0 && p.To != f.o.Self:
			return Wait,
				[]string{fmt.Sprintf("%s has promised %s to form a cluster with it only, and waits for its word",
					f.called(id), f.called(p.To))}
		default:
			return Wait, []string{fmt.Sprintf("%s has not agreed yet", f.called(id))}
		}
	}
	f.formed = true
	return Form, nil
}

// view returns the nodes with which a cluster can be formed now, by id, and why it cannot.
func (f *Formation) view(now time.Duration) (set []kv.NodeID, why []string) {
	wait := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	set = []kv.NodeID{f.o.Self}
	names := map[string]kv.NodeID{f.o.Name: f.o.Self}
	for id, h := range f.heard {
		if now-h.at <= heardFor && h.words.Cluster == 0 && h.words.Expect > 0 {
			set = append(set, id)
		}
	}
	slices.Sort(set)
	if !f.look || now-f.looked > lookedFor {
		wait("the addresses of --join are being asked")
	}
	why = append(why, f.unsure(set)...)
	for _, id := range set {
		w := f.heard[id].words
		if id == f.o.Self {
			continue
		}
		if w.Found != 0 {
			wait("%s knows of cluster %s, which this node has not found yet", f.called(id), w.Found)
		}
		if w.Expect != f.o.Expect {
			wait("%s expects %d nodes and this one %d: give all the same --bootstrap-expect", f.called(id), w.Expect,
				f.o.Expect)
		}
		if other, taken := names[w.Name]; taken {
			wait("nodes %s and %s are both called %q: give each a --name of its own", other, id, w.Name)
		}
		names[w.Name] = id
	}
	if len(set) < f.o.Expect || len(set) > MostNodes {
		wait("%d fresh nodes are expected (--bootstrap-expect), and %d are here", f.o.Expect, len(set))
	}
	return set, why
}

// unsure says at which addresses of --join it is not known whether a node of some cluster is there.
func (f *Formation) unsure(set []kv.NodeID) (why []string) {
	var silent, refusing []string
	for _, p := range f.places {
		where := p.Address
		if p.At.IsValid() && p.At.String() != p.Address {
			where += " (" + p.At.String() + ")"
		}
		switch {
		case p.Own && p.Node != f.o.Self && p.Node != 0:
			why = append(why,
				fmt.Sprintf("node %s answers at %s, the address that this node advertises: give each node an "+
					"--advertise of its own", p.Node, where))
		case p.Node == f.o.Self && p.Incarnation != f.o.Incarnation && p.Incarnation != 0 && f.o.Incarnation != 0:
			why = append(why,
				fmt.Sprintf("another process of the id of this node answers at %s: the data directory of one of the "+
					"two is a copy of the other's, and must be emptied before it starts again", where))
		case p.Foreign != "" || p.Node == f.o.Self || p.Node != 0 && p.Expect == 0 || slices.Contains(set, p.Node):
		case p.Node != 0:
			why = append(why, fmt.Sprintf("node %s answers at %s of --join, and not at its --peer address", p.Node,
				where))
		case p.Refused && (f.refused[p.At] >= f.o.Sure || f.otherFamily(p)):
		case p.Refused:
			refusing = append(refusing, where)
		case !twoClusters:
			silent = append(silent, where+": "+p.Fault)
		}
	}
	if len(refusing) > 0 {
		why = append(why, fmt.Sprintf("nobody listens at %s of --join, which must be so for %v",
			strings.Join(refusing, ", "), f.o.Sure))
	}
	if len(silent) > 0 {
		why = append(why,
			fmt.Sprintf("it is not known who is at these addresses of --join, and it may be a cluster: %s (find out "+
				"why nothing answers there, or take them away from --join)", strings.Join(silent, ", ")))
	}
	return why
}

// foreign says where nodes of clusters of other names are. It is nothing to wait for, but may be a mistake.
func (f *Formation) foreign() (found []string) {
	for _, p := range f.places {
		if p.Foreign != "" {
			found = append(found, fmt.Sprintf("a node of cluster %q answers at %s of --join: "+
				"to join that one, give this node the same --cluster", p.Foreign, p.Address))
		}
	}
	return found
}

// otherFamily reports whether a node answers by the same name at an address of the other family: most
// nodes listen at IPv4 addresses only, and most names that have both mean one host.
func (f *Formation) otherFamily(p Place) bool {
	return slices.ContainsFunc(f.places, func(o Place) bool {
		return o.Node != 0 && o.Address == p.Address && o.At.Addr().Is4() != p.At.Addr().Is4()
	})
}

// disagree says who of a set does not name the same one.
func (f *Formation) disagree(set []kv.NodeID) (why []string) {
	for _, id := range set {
		w := f.heard[id].words
		switch {
		case id == f.o.Self || slices.Equal(w.Sees, set):
		case w.Why != "":
			why = append(why, fmt.Sprintf("%s waits: %s", f.called(id), w.Why))
		default:
			why = append(why, fmt.Sprintf("%s does not see the same nodes yet", f.called(id)))
		}
	}
	return why
}

// first is the one of a set that forms the cluster: the smallest name, and of two the smaller id.
func (f *Formation) first(set []kv.NodeID) kv.NodeID {
	return slices.MinFunc(set, func(a, b kv.NodeID) int {
		return cmp.Or(strings.Compare(f.name(a), f.name(b)), cmp.Compare(a, b))
	})
}

func (f *Formation) name(id kv.NodeID) string {
	if id == f.o.Self {
		return f.o.Name
	}
	return f.heard[id].words.Name
}

// called is what people read of a node.
func (f *Formation) called(id kv.NodeID) string {
	if name := f.name(id); name != "" {
		return fmt.Sprintf("node %s (%s)", name, id)
	}
	return fmt.Sprintf("node %s", id)
}
