package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pxkv/node"
	"pxkv/node/kv"
)

const (
	// holdLimit is how long a node in memory that is asked to stop waits for others to have what would be lost with it.
	// With the time to hand over it fits into the 30 s that an orchestrator gives a process.
	holdLimit = 13 * time.Second
	// holdLeast is how long it waits at least: longer than three heartbeats, so that whom leaders say they hear they
	// have heard after it was asked. Another one may have ended just before.
	holdLeast = 600 * time.Millisecond
	// holdDark is for how long it waits for groups without a leader, or without a majority. That of some may just have
	// fallen; of others it never comes back, whether this node ends or not.
	holdDark = 3 * time.Second
	holdStep = 100 * time.Millisecond
)

// hold lets a node in memory that is asked to stop go on for a while where it is needed: without it some groups have no
// majority, as when the node before it was restarted a moment ago and is not filled yet. What those hold would be lost
// for good. Where nothing that happens by itself changes that, it does not wait.
func (s *Server) hold(ctx context.Context) {
	is := s.core.Machine.State()
	if !s.o.InMemory || is == nil || Intolerance(len(is.ActiveIDs()), is.Replicas) != "" || len(is.ActiveIDs()) < 2 {
		return
	}
	ctx = context.WithoutCancel(ctx) // it has ended already
	hold(ctx, s.log, s.lostWith)
}

// hold waits until nothing would be lost any more, at least holdLeast and at most holdLimit. lostNow is Node.LostWith.
func hold(
	ctx context.Context, log *slog.Logger, lostNow func(context.Context) (lost, dark []kv.PartitionID, err error),
) {
	began := time.Now()
	ticker := time.NewTicker(holdStep)
	defer ticker.Stop()
	said := false
	for {
		waited := time.Since(began)
		late := waited >= holdLimit
		lost, dark, err := lostNow(ctx)
		if waited < holdDark {
			lost = append(lost, dark...)
		}
		switch unknown := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, node.ErrOutdated); {
		case err != nil && (late || !unknown):
			log.Error("this node stops, and it is not known what is lost with it", "err", err)
			return
		case err != nil || len(lost) == 0 && waited < holdLeast:
		case len(lost) == 0 && said:
			log.Info("the others have all that this node has: it can stop")
			return
		case len(lost) == 0:
			return
		case late:
			log.Error("this node stops, and what it has in memory is lost: the others cannot go on without it in "+
				"these groups", "count", len(lost), "partitions", kv.PartitionList(lost, 10))
			return
		case !said:
			log.Warn("this node keeps everything in memory, and the others have no majority without it in these "+
				"groups: it waits for them before it stops; a second signal ends it at once", "at_most", holdLimit,
				"count", len(lost), "partitions", kv.PartitionList(lost, 10))
			said = true
		}
		<-ticker.C
	}
}

// lostTime is how long the leaders may take to say what would be lost.
const lostTime = time.Second

func (s *Server) lostWith(ctx context.Context) (lost, dark []kv.PartitionID, err error) {
	ctx, cancel := context.WithTimeout(ctx, lostTime)
	defer cancel()
	return s.node.LostWith(ctx)
}

// farewell says, when the loop has ended, that the memory of this node goes with its process.
func (s *Server) farewell() {
	if s.o.InMemory && s.member.Member() {
		s.node.Farewell()
	}
}
