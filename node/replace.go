package node

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// inquiryTime is how long members may take to say what they know of one that is to be replaced.
const inquiryTime = time.Second

// errAskedLongAgo is why nothing follows from what members have said: this node stood still since.
var errAskedLongAgo = member.Objection{
	Text: "the other members were asked too long ago", Kind: "asked long ago",
}

// replacing is what the leader of the meta group does about newcomers whose name is in use.
type replacing struct {
	busy    atomic.Bool // an inquiry is under way; others wait for their turn
	mu      sync.Mutex
	waiting kv.WaitingView // the newcomer that was last refused
	until   time.Time
}

// takeMeta proposes a command by which a node speaks for itself. A Join under a name that is in use
// is proposed only when the member of that name may be replaced.
func (n *Node) takeMeta(command []byte, done func([]byte, *kv.Error)) {
	s := n.o.Machine.State()
	if s == nil || !n.o.Loop.Leader(kv.Meta).Self {
		n.proposeMeta(s.Replacing(command, 0, 0), done)
		return
	}
	former, taken := s.Former(command)
	if !taken {
		n.proposeMeta(s.Replacing(command, 0, 0), done)
		return
	}
	refuse := func(why string) {
		n.replacing.note(former.Name, why)
		b, err := json.Marshal(s.RefuseName(former, why))
		if err != nil {
			done(nil, kv.Errorf(kv.Internal, "answer to a join: %v", err))
			return
		}
		done(b, nil)
	}
	if !n.replacing.busy.CompareAndSwap(false, true) {
		refuse("the other members are being asked about it")
		return
	}
	n.server.Go(time.Now().Add(2*inquiryTime), func(ctx context.Context) {
		defer n.replacing.busy.Store(false)
		if why := n.inquire(ctx, s, former.ID, n.o.Silence).Text; why != "" {
			refuse(why)
			return
		}
		n.replacing.note(former.Name, "")
		n.proposeMeta(s.Replacing(command, former.ID, time.Now().UnixMilli()), done)
	}, func(e *kv.Error) {
		n.replacing.busy.Store(false)
		done(nil, e)
	})
}

// inquire asks all members what they know of one that is to be replaced or given up, and returns why it must stay.
// least is for how long nobody may have heard it.
func (n *Node) inquire(
	ctx context.Context, s *meta.State, former kv.NodeID, least time.Duration,
) member.Objection {
	began := n.o.Boot() // which goes on while the machine sleeps
	ctx, cancel := context.WithTimeout(ctx, inquiryTime)
	defer cancel()
	q := member.Inquiry{Former: former, Partitions: s.Partitions, Least: least, Names: n.o.Names}
	others := slices.DeleteFunc(slices.Clone(s.Members), func(m meta.Member) bool { return m.ID == former })
	for from, w := range askAll(ctx, n, others, func(ctx context.Context, of kv.NodeID) (replica.Witness, *kv.Error) {
		return n.witness(ctx, of, former)
	}) {
		q.Hear(from, w)
	}
	if n.o.Boot()-began > replica.WordBinds/2 {
		return errAskedLongAgo
	}
	return q.Decide()
}

// waitingShown is how long after its last try a newcomer is shown as waiting.
const waitingShown = 5 * time.Second

func (r *replacing) note(name, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting, r.until = kv.WaitingView{Name: name, Why: why}, time.Now().Add(waitingShown)
}

// view is who waits to replace a member, when this node leads the meta group.
func (r *replacing) view() []kv.WaitingView {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting.Why == "" || time.Now().After(r.until) {
		return nil
	}
	return []kv.WaitingView{r.waiting}
}
