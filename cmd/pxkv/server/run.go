package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pxkv/node/parts"
	"pxkv/node/replica"
	"pxkv/transport/socket"
)

// Run starts the parts in order, waits for the end, and stops them in reverse:
//
//	start: the address of gossip is bound, the last of all; a node alone makes its cluster; gossip
//	       and peers hear it; the front doors open (their answers are 503 and CLUSTERDOWN until there
//	       is something behind them); the cluster is found or formed; the loop runs
//	stop:  each answer of HTTP is the last one of its connection from now on; a node in memory waits for a while for
//	       those that need it; what nobody can serve without this node is logged; leaderships are handed over while
//	       everything still works; the front doors take leave of their clients, close, and
//	       their last requests end; nothing more is asked or answered; the loop ends, and with it
//	       every write that waits; a node in memory says farewell; the peers and gossip go; the store closes
//
// It returns nil when ctx has ended and everything with it, in order, or when the node has left its cluster, as it was
// asked to; else why the node could not go on.
func (s *Server) Run(ctx context.Context) error {
	all := parts.New()
	err := s.begin(ctx, all)
	if err == nil {
		select {
		case <-ctx.Done():
			s.log.Info("stopping")
			s.doors.leave()
			s.hold(ctx)
			s.warnOfAbsence(ctx)
			s.node.HandOver(context.WithoutCancel(ctx))
			select {
			case err = <-all.Failed():
			default:
			}
		case err = <-all.Failed():
			s.doors.leave()
		}
		switch {
		case errors.Is(err, replica.ErrLeft):
			s.log.Info("this node has left the cluster, and ends: its data directory is not needed any more",
				"reason", err)
		case err != nil:
			s.log.Error("this node cannot go on", "reason", err)
			defer s.endSoon(err).Stop()
		}
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // asked to stop while still starting
	}
	told, left := err, errors.Is(err, replica.ErrLeft)
	if left {
		err = nil
	}
	err = errors.Join(err, s.end(all, told))
	if err == nil {
		err = s.markStopped(left)
	}
	err = errors.Join(err, s.db.Close())
	if err != nil {
		return fmt.Errorf("node %s: %w", s.o.Name, err)
	}
	s.log.Info("stopped")
	return nil
}

// failedGrace is how long a node that cannot go on may take to answer what waits and to close its
// store. Its disk is as after a crash otherwise, which is all right.
const failedGrace = socket.FarewellTime + socket.MoreFarewell + 700*time.Millisecond

// endSoon ends the process if it has not ended in good order by then: what else it waits for may
// never come.
func (s *Server) endSoon(err error) *time.Timer {
	return time.AfterFunc(failedGrace, func() { s.o.Exit(fmt.Sprintf("node %s: %v", s.o.Name, err)) })
}

// markStopped notes in the directory that nothing was promised after this: it may be moved now; or that the node has
// left its cluster, and never starts on it again.
func (s *Server) markStopped(left bool) error {
	id, known, err := s.db.Identity()
	if err != nil || !known {
		return err
	}
	id.Stopped, id.Left = true, left
	return s.db.SaveIdentity(id)
}

func (s *Server) begin(ctx context.Context, all *parts.Set) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The last address is bound before a cluster is made, which stays whatever becomes of this start.
	if err := s.links.gossip.Listen(ctx); err != nil {
		return err
	}
	if err := s.member.Begin(len(s.o.Join) == 0); err != nil {
		return err
	}
	all.Start("peers", s.links.peers.Run)
	all.Start("gossip", s.links.gossip.Run)
	all.Start("memory", returnMemory)
	all.Start("announce", s.links.tell)
	if err := all.Await(ctx, s.gossips); err != nil {
		return err
	}
	s.links.change() // gossip hears the addresses and the epoch
	s.doors.start(all)
	s.warnOfFlags()
	http, redis := s.doors.addresses()
	s.log.Info("serving until SIGTERM or Ctrl-C", "name", s.o.Name, "data", s.o.dataPath(), "node",
		s.start.Identity.Node.String(),
		"http", http, "resp", redis, "peer", s.links.peers.Addr(), "gossip", s.links.gossip.Addr())
	if !s.member.Member() {
		s.log.Info("waiting for a cluster to join", "join", s.o.Join, "bootstrap-expect", s.o.Expect)
		if err := all.Await(ctx, s.member.AwaitCluster); err != nil {
			return err
		}
	}
	s.deciding = append(s.deciding, all.Start("loop", s.loop.Run))
	all.Start("node", s.node.Run)
	all.Start("warnings", s.watchTolerance)
	all.Start("membership", func(ctx context.Context) error {
		err := s.member.Run(ctx)
		if err == nil {
			<-ctx.Done()
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was ended, and whatever it says of that is no failure
		}
		return err
	})
	return nil
}

// gossips waits until gossip has started.
func (s *Server) gossips(ctx context.Context) error {
	select {
	case <-s.links.gossip.Started():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end ends the front doors, then refuses what is still asked, then ends the rest in reverse. After
// a failure it refuses first: what the doors were asked would be tried again until its time is up.
func (s *Server) end(all *parts.Set, told error) error {
	if told != nil {
		s.node.Stop()
	}
	var err error
	if len(s.doors.open) > 0 {
		err = all.Stop(told, s.doors.open...)
	}
	s.node.Stop()
	if len(s.deciding) > 0 && told == nil {
		err = errors.Join(err, all.Stop(told, s.deciding...))
		s.farewell()
	}
	return errors.Join(err, all.Stop(told))
}
