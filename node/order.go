package node

import (
	"cmp"
	"context"
	"encoding/json"
	"sync"
	"time"

	"pxkv/node/autopilot"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/rpc"
)

// orderMethod asks the leader of the meta group to do with a member what an operator wishes.
var orderMethod = rpc.Method[*Node, autopilot.Wish, kv.OrderView]{
	Kind: reqOrder,
	Encode: func(w autopilot.Wish, _ int) []byte {
		b, _ := json.Marshal(w) // strings and numbers only
		return append(rpc.NewRequest(len(b)), b...)
	},
	Decode:       decodeWish,
	Here:         (*Node).orderHere,
	EncodeAnswer: func(v kv.OrderView) []byte { return encodeJSON(v) },
	DecodeAnswer: func(_ autopilot.Wish, d kv.Decoder) (v kv.OrderView, ok bool) {
		err := json.Unmarshal(d.Rest(), &v)
		return v, err == nil
	},
}

func decodeWish(_ *Node, _ kv.NodeID, d kv.Decoder) (w autopilot.Wish, err error) {
	b := d.Rest()
	if len(b) > maxMetaBytes || json.Unmarshal(b, &w) != nil {
		return w, rpc.ErrMalformed
	}
	switch w.Kind {
	case autopilot.Leave, autopilot.Stay, autopilot.Remove, autopilot.Replicas:
		return w, nil
	}
	return w, rpc.ErrMalformed
}

// Leave makes a member leave, this node when name is empty. replicas is how many a partition has afterwards, 0: as many
// as now; epoch that of the plan which was looked at, 0: none. What is refused is in the answer; an error says that it
// is not known whether it was done, or that nobody could be asked.
func (n *Node) Leave(ctx context.Context, name string, replicas int, epoch kv.Epoch) (kv.OrderView, error) {
	return n.order(ctx, autopilot.Wish{Kind: autopilot.Leave, Name: name, Replicas: replicas, Epoch: epoch})
}

// CancelLeave makes a member stay that is leaving, this node when name is empty. It is otherwise as Leave.
func (n *Node) CancelLeave(ctx context.Context, name string) (kv.OrderView, error) {
	return n.order(ctx, autopilot.Wish{Kind: autopilot.Stay, Name: name})
}

// RemoveMember gives a dead member up. It is otherwise as Leave.
func (n *Node) RemoveMember(ctx context.Context, name string, replicas int) (kv.OrderView, error) {
	return n.order(ctx, autopilot.Wish{Kind: autopilot.Remove, Name: name, Replicas: replicas})
}

// SetReplicas makes another number of replicas of each partition be wanted. It is otherwise as Leave.
func (n *Node) SetReplicas(ctx context.Context, replicas int) (kv.OrderView, error) {
	return n.order(ctx, autopilot.Wish{Kind: autopilot.Replicas, Replicas: replicas})
}

func (n *Node) order(ctx context.Context, w autopilot.Wish) (kv.OrderView, error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	s := n.o.Machine.State()
	if s == nil {
		return kv.OrderView{}, n.notJoined()
	}
	if w.Kind != autopilot.Replicas {
		w.Name = cmp.Or(w.Name, n.o.Name)
		if err := meta.CheckName(w.Name); err != nil {
			return kv.OrderView{}, kv.Errorf(kv.Invalid, "%v", err)
		}
	}
	if v := tooOld(s, w); len(v.Refused) > 0 { // whoever leads may not understand what it is asked
		return v, nil
	}
	return settled(ctx, func() (kv.OrderView, error) { return orderMethod.Ask(ctx, n.client, n, kv.Meta, w) })
}

// tooOld refuses what the cluster is too old for; it says nothing where it is not.
func tooOld(s *meta.State, w autopilot.Wish) kv.OrderView {
	old := autopilot.TooOld(s)
	if old == "" {
		return kv.OrderView{}
	}
	v := kv.OrderView{Node: w.Name, Epoch: s.Epoch, Refused: []string{old}}
	if w.Kind == autopilot.Replicas {
		v.Replicas = s.Replicas
	}
	return v
}

// mostOrders is how often an order is given until it is known what became of it.
const mostOrders = 3

// settled gives an order again whose outcome is unknown: what is so already is an answer. When that is in vain its
// outcome stays unknown, whatever became of the later ones.
func settled(ctx context.Context, give func() (kv.OrderView, error)) (v kv.OrderView, err error) {
	unknown := false
	for range mostOrders {
		if v, err = give(); kv.KindOf(err) != kv.Unknown || ctx.Err() != nil {
			break
		}
		unknown = true
	}
	if unknown && kv.KindOf(err) == kv.Unavailable {
		return kv.OrderView{}, kv.ErrUnknown()
	}
	return v, err
}

// orderHere does it on the leader of the meta group, one order at a time: what one decides, the next one must see, also
// when whoever gave it does not wait for that any more.
func (n *Node) orderHere(ctx context.Context, w autopilot.Wish) (kv.OrderView, *kv.Error) {
	select {
	case n.ordering <- struct{}{}:
	case <-ctx.Done():
		return kv.OrderView{}, kv.Errorf(kv.Unavailable, "another order is being carried out")
	}
	next, proposed := sync.OnceFunc(func() { <-n.ordering }), false
	defer func() {
		if !proposed {
			next()
		}
	}()
	if l := n.o.Loop.Leader(kv.Meta); !l.Self {
		e := kv.Errorf(kv.NotLeader, "node %s does not lead the cluster's own group", n.o.Name)
		e.Leader = l.Node
		return kv.OrderView{}, e
	}
	// What is so already is answered from the state here: one that leads no more, or has just begun to and not applied
	// what its predecessor agreed, would call done what others have undone.
	if e := n.confirm(ctx, kv.Meta); e != nil && !orderUnconfirmed {
		return kv.OrderView{}, e
	}
	s := n.o.Machine.State()
	prepare := n.aboutMember
	if w.Kind == autopilot.Replicas {
		prepare = n.aboutReplicas
	}
	o, e := prepare(ctx, s, w)
	if e != nil || o.command == nil {
		return o.now, e
	}
	proposed = true
	res, e := n.decide(ctx, o.command, next)
	switch {
	case e != nil:
		return o.now, e
	case res.Refused != nil:
		o.now.Refused = []string{res.Refused.Text}
		return o.now, nil
	}
	n.log.Warn("the cluster changes, as an operator asked", "wish", w.Kind, "node", o.then.Node, "state", o.then.State,
		"replicas", w.Replicas)
	o.then.Epoch = res.Epoch
	return o.then, nil
}

// prepared is an order that can be carried out by a command; without one it is refused, or so already.
type prepared struct {
	now, then kv.OrderView // what to answer before it is done and after it
	command   []byte
}

// aboutMember prepares an order about a member.
func (n *Node) aboutMember(ctx context.Context, s *meta.State, w autopilot.Wish) (o prepared, e *kv.Error) {
	m, err := w.Find(s)
	if err != nil {
		return o, kv.Errorf(kv.Invalid, "%v", err)
	}
	o.now = kv.OrderView{Node: m.Name, State: m.State, Epoch: s.Epoch}
	f := &autopilot.Facts{State: s} // all that staying needs: it is not held up by who is silent
	if w.Kind != autopilot.Stay {
		f = n.facts(ctx, s, true)
	}
	alive := ""
	if w.Kind == autopilot.Remove {
		alive = n.inquire(ctx, s, m.ID, n.o.Silence).Text
	}
	if ctx.Err() != nil { // who was not asked is silent, too
		return o, errNoTime()
	}
	if o.now.Refused = w.Refuse(f, m, alive); len(o.now.Refused) > 0 {
		return o, nil
	}
	if c := w.Command(s, m, time.Now().UnixMilli()); c != nil {
		o.then, o.command = kv.OrderView{Node: m.Name, State: c.To}, c.Encode()
	}
	return o, nil
}

// aboutReplicas prepares an order about the number of replicas.
func (n *Node) aboutReplicas(ctx context.Context, s *meta.State, w autopilot.Wish) (o prepared, e *kv.Error) {
	o.now = kv.OrderView{Replicas: s.Replicas, Epoch: s.Epoch}
	f := n.facts(ctx, s, true)
	if ctx.Err() != nil {
		return o, errNoTime()
	}
	if o.now.Refused = w.RefuseReplicas(f); len(o.now.Refused) > 0 {
		return o, nil
	}
	if c := w.SetReplicas(s); c != nil {
		o.then, o.command = kv.OrderView{Replicas: c.To}, c.Encode()
	}
	return o, nil
}

// errNoTime is the error of what has to be asked of all members, and was not.
func errNoTime() *kv.Error {
	return kv.Errorf(kv.Unavailable, "the other members did not answer in time")
}

// decide proposes a command of the meta group here, and waits for its result. It calls known when that is there, or
// when there will be none, perhaps after ctx has ended.
func (n *Node) decide(ctx context.Context, command []byte, known func()) (r meta.Result, e *kv.Error) {
	b, e := awaitMeta(ctx, func(done func([]byte, *kv.Error)) {
		n.proposeMeta(command, func(b []byte, e *kv.Error) {
			done(b, e)
			known()
		})
	})
	if e != nil {
		return r, e
	}
	r, err := meta.DecodeResult(b)
	if err != nil {
		return r, kv.Errorf(kv.Internal, "%v", err)
	}
	return r, nil
}
