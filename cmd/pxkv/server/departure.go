package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pxkv/node/kv"
)

const (
	// holdLimit is how long a node in memory that is asked to stop waits for others to have what would be lost with it.
	// With the time to hand over it fits into the 30 s that an orchestrator gives a process.
	holdLimit = 15 * time.Second
	holdStep  = 100 * time.Millisecond
)

// hold lets a node in memory that is asked to stop go on for a while where it is needed: without it some groups have no
// majority, as when the node before it was restarted a moment ago and is not filled yet. What those hold would be lost
// for good. Where nothing that happens by itself changes that, it does not wait.
func (s *Server) hold(ctx context.Context) {
	is := s.core.Machine.State()
	if !s.o.InMemory || is == nil || Intolerance(len(is.ActiveIDs()), is.Replicas) != "" {
		return
	}
	ctx = context.WithoutCancel(ctx) // it has ended already
	hold(ctx, s.log, s.lostWith)
}

// hold waits until nothing would be lost any more, at most holdLimit. lostNow says what would be; an error that is the
// end of a context says that it is not known, since the node is too busy to answer, any other that it never will be.
func hold(ctx context.Context, log *slog.Logger, lostNow func(context.Context) ([]kv.PartitionID, error)) {
	over := time.After(holdLimit)
	ticker := time.NewTicker(holdStep)
	defer ticker.Stop()
	said, late := false, false
	for {
		lost, err := lostNow(ctx)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && !late:
		case err != nil:
			log.Error("this node stops, and it is not known what is lost with it", "err", err)
			return
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
		select {
		case <-ticker.C:
		case <-over:
			late = true
		}
	}
}

func (s *Server) lostWith(ctx context.Context) ([]kv.PartitionID, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.node.LostWith(ctx)
}

// farewell says, when the loop has ended, that the memory of this node goes with its process.
func (s *Server) farewell() {
	if s.o.InMemory && s.member.Member() {
		s.node.Farewell()
	}
}
