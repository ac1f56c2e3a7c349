package autopilot

import (
	"fmt"
	"slices"
	"strings"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
)

// Wish is what an operator wants to become of a member.
type Wish struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"` // of the member
	// Replicas is how many a partition has afterwards, 0: as many as now. Not of Stay.
	Replicas int `json:"replicas,omitempty"`
	// Epoch is that of the plan which the operator has seen, 0: none. Only of Leave.
	Epoch kv.Epoch `json:"epoch,omitempty"`
}

// Kind is what shall become of a member.
type Kind string

const (
	Leave  Kind = "leave"  // its replicas move away, and it goes
	Stay   Kind = "stay"   // it does not leave after all
	Remove Kind = "remove" // it is dead, and given up
	// Replicas is a wish about no member: how many replicas of each partition there are.
	Replicas Kind = "replicas"
)

// Find returns the member that a wish is about.
func (w Wish) Find(s *meta.State) (meta.Member, error) {
	m, ok := s.MemberByName(w.Name)
	if ok {
		return m, nil
	}
	for i := len(s.Removed) - 1; i >= 0; i-- {
		if s.Removed[i].Name == w.Name {
			return m, fmt.Errorf("node %q is no member any more: %s", w.Name, s.Removed[i].Cause.Text())
		}
	}
	return m, fmt.Errorf("no member is named %q: pxkv members lists them", w.Name)
}

// Command returns the command that does what is wished; nil when it is so already.
func (w Wish) Command(s *meta.State, m meta.Member, nowMS int64) *meta.SetState {
	c := &meta.SetState{ID: m.ID, From: m.State}
	switch w.Kind {
	case Leave:
		c.To, c.AtMS, c.Cause, c.Replicas = kv.Leaving, nowMS, kv.CauseLeft, w.Replicas
	case Remove:
		c.To, c.AtMS, c.Cause, c.Replicas = kv.Down, nowMS, kv.CauseRemoved, w.Replicas
	case Stay:
		c.To = kv.Active
	}
	if c.To == m.State {
		return nil
	}
	return c
}

// RefuseReplicas says why there cannot be another number of replicas of each partition, one reason each; none: there
// can. More than there are members may be wanted: every member has everything then.
func (w Wish) RefuseReplicas(f *Facts) (why []string) {
	s := f.State
	refuse := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if old := TooOld(s); old != "" {
		return []string{old}
	}
	if w.Replicas < 1 || w.Replicas > meta.MaxReplicas {
		refuse("%d replicas were asked for; 1 to %d are possible", w.Replicas, meta.MaxReplicas)
		return why
	}
	if w.Replicas == s.Replicas {
		return nil
	}
	for _, m := range s.Departing() {
		instead := "let it stay"
		if m.State == kv.Down {
			instead = "start it again"
		}
		refuse("%s is %s: wait until it has gone, or %s", m.Name, m.State, instead)
	}
	w.refuseAbsent(f, meta.Member{}, refuse)
	return why
}

// SetReplicas returns the command that does so; nil when it is so already.
func (w Wish) SetReplicas(s *meta.State) *meta.SetReplicas {
	if w.Replicas == s.Replicas {
		return nil
	}
	return &meta.SetReplicas{From: s.Replicas, To: w.Replicas}
}

// Refuse says why a wish about a member cannot be done, one reason each; none: it can. alive says why a member that is
// to be removed cannot be given up, empty when it can (see member.Inquiry); it is asked of Remove only.
//
// What could not end is refused before it begins: with nowhere for its replicas to go, a node would be leaving for
// ever.
func (w Wish) Refuse(f *Facts, m meta.Member, alive string) (why []string) {
	s := f.State
	refuse := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	if old := TooOld(s); old != "" {
		return []string{old}
	}
	switch {
	case w.Kind == Stay && m.State == kv.Down:
		refuse("%s is down: it becomes active again by itself when it is heard", m.Name)
	case w.Kind == Stay:
	case w.Kind == Leave && m.State == kv.Leaving, w.Kind == Remove && m.State == kv.Down:
		if w.Replicas != 0 && w.Replicas < s.Replicas {
			refuse("%s is %s already, with %d replicas of each partition afterwards: fewer can be asked for only when "+
				"that begins", m.Name, m.State, s.Replicas)
		}
	case w.Kind == Leave && m.State == kv.Down:
		refuse("%s is down, and is removed as soon as its replicas are elsewhere", m.Name)
	default:
		if w.Epoch != 0 && w.Epoch != s.Epoch {
			refuse("the plan is of epoch %d, and the placement is of epoch %d by now: look at the plan again", w.Epoch,
				s.Epoch)
		}
		w.refuseFewer(s, m, refuse)
		if w.Kind == Leave {
			w.refuseAbsent(f, m, refuse)
		} else if alive != "" {
			refuse("%s", alive)
		}
	}
	return why
}

// TooOld says why nobody can leave or be removed yet, empty where they can.
func TooOld(s *meta.State) string {
	if s.ClusterVersion >= meta.VersionDepartures {
		return ""
	}
	return "the cluster still works in the way of an older release: upgrade all its members first"
}

// refuseFewer refuses to leave fewer members than each partition has replicas, unless that is said.
func (w Wish) refuseFewer(s *meta.State, m meta.Member, refuse func(string, ...any)) {
	after := len(s.ActiveIDs())
	if m.State == kv.Active {
		after--
	}
	switch {
	case after == 0:
		refuse("%s is the last active member, and all data with it: add another one first", m.Name)
	case w.Replicas < 0 || w.Replicas > s.Replicas:
		refuse("%d replicas were asked for; that many as are wanted of each partition now, %d, or fewer, are "+
			"possible", w.Replicas, s.Replicas)
	case w.Replicas > after:
		refuse("%d replicas were asked for, and %d members remain", w.Replicas, after)
	case w.Replicas == 0 && after < s.Replicas:
		refuse("%d members would remain, fewer than the %d replicas that are wanted of each partition: add a node "+
			"first, or say with --replicas-after %d that fewer are enough", after, s.Replicas, after)
	}
}

// refuseAbsent refuses to move data while somebody else is missing: their copies may be needed.
func (w Wish) refuseAbsent(f *Facts, m meta.Member, refuse func(string, ...any)) {
	s := f.State
	name := func(id kv.NodeID) string {
		if o, ok := s.Member(id); ok {
			return o.Name
		}
		return id.String()
	}
	var silent []string
	for _, o := range s.Members {
		if o.ID == m.ID || o.State == kv.Down && w.Kind == Replicas { // whoever departs is named already
			continue
		}
		if _, answers := f.Selves[o.ID]; !answers || o.State == kv.Down {
			silent = append(silent, name(o.ID))
		}
	}
	if len(silent) > 0 {
		slices.Sort(silent)
		refuse("%s does not answer: start it again, or remove it first", strings.Join(silent, ", "))
	}
	verdict := health.Judge(s, f.Reports)
	if !verdict.Served.Yes {
		refuse("not everything is served: %s", strings.Join(verdict.Served.Why, "; "))
	}
	for _, id := range tooFull(f, m, w.Replicas) {
		refuse("the store of %s has no room for what would move there", name(id))
	}
}
