package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"pxkv/node/kv"
)

// following watches a member on its way out of the cluster, by what GET /cluster says at members that stay: the door of
// one that leaves closes at the end, which says nothing about whether it is gone.
type following struct {
	c       *client
	order   kv.OrderView
	cluster kv.ClusterID
	member  kv.NodeID  // 0: not known yet
	heir    kv.NodeID  // another member of its name, 0: none
	servers []*url.URL // to be asked in turn; who answered last is first, and the member itself is last
	alone   bool       // nobody but the member itself has answered so far
	unheard time.Duration
	line    *departureLine
}

const (
	// unheardLimit is for how long nobody may answer before the end is called unknown.
	unheardLimit = 15 * time.Second
	// backLimit is how many answers in a row must say that the member is active again: a node may know less than
	// the one that took the order.
	backLimit = 6
)

func follow(c *client, order kv.OrderView, view *kv.ClusterView, w io.Writer) *following {
	f := &following{
		c: c, order: order, cluster: view.ID, servers: slices.Clone(c.bases), unheard: unheardLimit,
		alone: view.Node == order.Node, line: newDepartureLine(w),
	}
	f.learn(view)
	return f
}

// learn takes from an answer who else can be asked, and which member it is about. It returns that member, nil when
// there is none.
func (f *following) learn(view *kv.ClusterView) *kv.MemberView {
	var found *kv.MemberView
	f.heir = 0
	for i := range view.Members {
		m := &view.Members[i]
		switch {
		case m.Name != f.order.Node:
		case f.member == 0 || f.member == m.ID:
			f.member, found = m.ID, m
			continue
		default:
			f.heir = m.ID
		}
		base, err := parseServer(m.Addresses.HTTP)
		if err == nil && !slices.ContainsFunc(f.servers, func(u *url.URL) bool { return u.String() == base.String() }) {
			f.servers = append(f.servers, base)
		}
	}
	return found
}

// look asks the servers in turn. It returns the member, nil when it is gone.
func (f *following) look(ctx context.Context) (*kv.MemberView, error) {
	var errs []error
	for _, base := range slices.Clone(f.servers) {
		var view kv.ClusterView
		one := f.c.at(base)
		one.timeout = cmp.Or(one.timeout, defaultTimeout) // there are others to ask
		err := one.view(ctx, "/cluster", &view)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			errs = append(errs, err)
			continue
		case view.ID != f.cluster:
			errs = append(errs, fmt.Errorf("node %s at %s is in no cluster, or in another one", view.Node, base))
			continue
		}
		m := f.learn(&view)
		if m == nil && view.Epoch < f.order.Epoch {
			errs = append(errs, fmt.Errorf("node %s at %s does not know the present placement", view.Node, base))
			continue
		}
		f.prefer(base, view.Node != f.order.Node)
		return m, nil
	}
	return nil, errors.Join(errs...)
}

// prefer asks a server first from now on, or last where the member itself answers.
func (f *following) prefer(base *url.URL, stays bool) {
	f.servers = slices.DeleteFunc(f.servers, func(u *url.URL) bool { return u == base })
	if stays {
		f.servers, f.alone = slices.Insert(f.servers, 0, base), false
	} else {
		f.servers = append(f.servers, base)
	}
}

// untilGone returns nil when the member is gone, else why that was not seen; longest is how long it waits, 0: as long
// as it takes.
func (f *following) untilGone(ctx context.Context, longest time.Duration) error {
	defer f.line.clear()
	begun := time.Now()
	heard, back, last := begun, 0, "nobody has said how far it is"
	for {
		m, err := f.look(ctx)
		switch {
		case ctx.Err() != nil:
			return failure(exitFailed, "interrupted: %s", f.goesOn())
		case err != nil && time.Since(heard) >= f.unheard:
			return f.lost(err)
		case err != nil:
		case m == nil && f.heir != 0 && f.order.State == kv.Leaving: // an empty directory, or a memory, was started
			return failure(exitFailed, "%s is a member again, as a new node (%s) that was started under its name: "+
				"stop that one from being started, and let it leave as well", f.order.Node, f.heir)
		case m == nil:
			return nil
		case m.Departure == nil:
			if back++; back >= backLimit {
				return failure(exitFailed, "%s is %s: it stays in the cluster", m.Name, m.State)
			}
			heard = time.Now()
		default:
			heard, back, last = time.Now(), 0, departureText(m.Departure)
			f.line.show(m)
		}
		if longest > 0 && time.Since(begun) >= longest {
			return failure(exitFailed, "%s is not gone after %v (%s); %s", f.order.Node, longest, last, f.goesOn())
		}
		select {
		case <-time.After(waitStep):
		case <-ctx.Done():
		}
	}
}

// goesOn says that what was begun does not end with the command, and how it is ended.
func (f *following) goesOn() string {
	if f.order.State == kv.Leaving {
		return fmt.Sprintf("%s goes on leaving; pxkv members shows how far it is, and pxkv leave %s --cancel keeps it",
			f.order.Node, f.order.Node)
	}
	return fmt.Sprintf("the removal of %s goes on; pxkv members shows how far it is, and the node stays if it is "+
		"started again before the end", f.order.Node)
}

// lost says that nobody can be asked.
func (f *following) lost(err error) error {
	if f.alone {
		return failure(exitFailed, "%s does not answer any more, and no other member could be asked, so it is not "+
			"known whether it is gone (its process has ended with exit code 0 then): ask another one, by pxkv members "+
			"--server; %w", f.order.Node, err)
	}
	return failure(exitFailed, "no member answers any more; %s: %w", f.goesOn(), err)
}

// departureLine tells how far a member is: on a terminal by one line that is written again and again, else by a line
// for each change.
type departureLine struct {
	w        io.Writer
	terminal bool
	shown    bool
	last     string
}

func newDepartureLine(w io.Writer) *departureLine {
	return &departureLine{w: w, terminal: isTerminal(w)}
}

// lineWidth is that of the narrowest terminal on which the line stays one.
const lineWidth = 79

func (l *departureLine) show(m *kv.MemberView) {
	text := m.Name + " is " + string(m.State) + ": " + departureText(m.Departure)
	if l.terminal {
		fmt.Fprint(l.w, eraseLine+shortened(text, lineWidth))
		l.shown = true
		return
	}
	d := *m.Departure
	if d.BytesPerSecond, d.SecondsLeft, d.LeftBytes = 0, 0, 0; d.StalledSeconds > 0 {
		d.StalledSeconds = 1 // that it stalls is news, and for how long is not
	}
	if now := departureText(&d); now != l.last {
		l.last = now
		fmt.Fprintln(l.w, text)
	}
}

// clear makes room for something else.
func (l *departureLine) clear() {
	if l.shown {
		fmt.Fprint(l.w, eraseLine)
		l.shown = false
	}
}

// shortened is at most so many characters of a text.
func shortened(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	if r := []rune(text); len(r) > most {
		return string(r[:most-3]) + "..."
	}
	return text
}
