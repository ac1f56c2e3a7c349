package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"pxkv/node/autopilot"
	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// steering is what the leader of the meta group remembers about members between two looks.
type steering struct {
	mu         sync.Mutex
	known      map[kv.NodeID]autopilot.Self // what members said when they were last asked
	departures map[kv.NodeID]*departure     // to be shown; empty on a node that does not lead

	// Of steer only, as last logged:
	said  string          // the kind of reason for which a silent member is not given up
	again map[string]bool // the decisions that came to nothing, and are tried with each look
}

// steer looks after the members while this node leads the meta group, until ctx ends: see package autopilot.
func (n *Node) steer(ctx context.Context) {
	ticker := time.NewTicker(n.o.SteerInterval)
	defer ticker.Stop()
	for {
		s := n.o.Machine.State()
		if s != nil && n.o.Loop.Leader(kv.Meta).Self {
			n.steerOnce(ctx, s)
		} else {
			n.steering.forget()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// steerTime is how long one look may take.
const steerTime = 10 * time.Second

func (n *Node) steerOnce(ctx context.Context, s *meta.State) {
	ctx, cancel := context.WithTimeout(ctx, steerTime)
	defer cancel()
	f := n.facts(ctx, s, autopilot.Asked(s))
	left := autopilot.AllLeft(f)
	n.steering.note(s, left, time.Now(), n.log)
	var why member.Objection
	if f.Lost, why = n.lost(ctx, s, f.Silence); n.steering.news(why) {
		n.log.Warn("a member is silent", "reason", why.Text)
	}
	again := map[string]bool{}
	for _, step := range autopilot.Decide(f, left) {
		res, e := n.decide(ctx, step.Command.Encode(), func() {})
		level, text := slog.LevelWarn, "the cluster decides about a member"
		attrs := []any{"node", nameOf(s, step.Node), "why", step.Why}
		switch {
		case e != nil:
			level, text = slog.LevelInfo, "a decision about a member has failed, and is tried again"
			attrs = append(attrs, "err", e)
		case res.Refused != nil:
			level, text = slog.LevelInfo, "a decision about a member was refused, and is looked at again"
			attrs = append(attrs, "reason", res.Refused.Text)
		}
		if level == slog.LevelInfo {
			said := fmt.Sprint(text, attrs)
			if again[said] = true; n.steering.again[said] {
				level = slog.LevelDebug
			}
		}
		n.log.Log(ctx, level, text, attrs...)
	}
	n.steering.again = again
}

// news reports whether a reason is to be logged: it is of another kind than the one before.
func (st *steering) news(why member.Objection) bool {
	is := why.Kind != st.said && why.Kind != ""
	st.said = why.Kind
	return is
}

// lost asks about the members that are silent, one after the other, and returns the first that may be given up. One
// that another member hears keeps no other one in. 0: there is none, and why, where one is silent.
func (n *Node) lost(
	ctx context.Context, s *meta.State, silence func(kv.NodeID) time.Duration,
) (id kv.NodeID, why member.Objection) {
	ctx, cancel := context.WithTimeout(ctx, steerTime/2) // what is decided needs the rest
	defer cancel()
	stays := map[kv.NodeID]bool{}
	for ctx.Err() == nil {
		id, none := autopilot.Candidate(s, func(id kv.NodeID) time.Duration {
			if stays[id] {
				return 0
			}
			return silence(id)
		}, n.o.ReplaceAfter)
		if id == 0 {
			return 0, cmp.Or(why, member.Objection{Text: none, Kind: none})
		}
		m, _ := s.Member(id)
		asked := n.inquire(ctx, s, id, autopilot.Patience(&m, n.o.ReplaceAfter))
		if asked == (member.Objection{}) {
			return id, member.Objection{}
		}
		stays[id] = true
		why = cmp.Or(why, member.Objection{
			Text: m.Name + " is silent, and cannot be given up: " + asked.Text, Kind: m.Name + " " + asked.Kind,
		})
	}
	return 0, why
}

// facts gathers what is known of the members; all: also what they and the leaders of all groups say now. Otherwise only
// those are asked that have started since they were.
func (n *Node) facts(ctx context.Context, s *meta.State, all bool) *autopilot.Facts {
	silence := map[kv.NodeID]time.Duration{}
	heard := make(chan map[kv.NodeID]time.Duration, 1)
	if n.o.Loop.Do(ctx, func(h *replica.Host) {
		now := map[kv.NodeID]time.Duration{}
		for _, m := range s.Members {
			now[m.ID] = h.Silence(m.ID)
		}
		heard <- now
	}) == nil {
		silence = <-heard
	}
	f := &autopilot.Facts{
		State: s, NowMS: time.Now().UnixMilli(), Lately: n.o.Silence / 2,
		Silence: func(id kv.NodeID) time.Duration { return silence[id] },
	}
	f.Selves = n.selves(ctx, s, all)
	if all {
		f.Reports = n.reports(ctx, s)
	}
	return f
}

// selfTime is how long a member may take to say what it is.
const selfTime = 2 * time.Second

func (n *Node) selves(ctx context.Context, s *meta.State, all bool) map[kv.NodeID]autopilot.Self {
	ctx, cancel := context.WithTimeout(ctx, selfTime)
	defer cancel()
	known := map[kv.NodeID]autopilot.Self{}
	ask := slices.DeleteFunc(slices.Clone(s.Members), func(m meta.Member) bool {
		self, is := n.steering.remembered(m.ID)
		if is = is && self.Starts == m.Starts && !all; is {
			known[m.ID] = self
		}
		return is
	})
	maps.Copy(known, askAll(ctx, n, ask, n.self))
	n.steering.remember(known)
	return known
}

func (st *steering) remembered(id kv.NodeID) (autopilot.Self, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	self, known := st.known[id]
	return self, known
}

func (st *steering) remember(selves map[kv.NodeID]autopilot.Self) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.known = selves
}
