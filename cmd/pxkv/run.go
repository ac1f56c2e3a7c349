package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// run starts the parts in order, waits for the end, and stops them in reverse:
//
//	start: gossip and peers hear the cluster; the front doors open (their answers are 503 and
//	       CLUSTERDOWN until there is something behind them); the cluster is found or made; the
//	       loop runs
//	stop:  leaderships are handed over while everything still works; the front doors close and
//	       their last requests end; nothing more is asked or answered; the loop ends, and with it
//	       every write that waits; the peers and gossip go; the store closes
func (p *process) run(ctx context.Context) error {
	parts := &parts{failed: make(chan error, 16)}
	err := p.start(ctx, parts)
	if err == nil {
		select {
		case <-ctx.Done():
			p.log.Info("stopping")
			p.node.HandOver(context.WithoutCancel(ctx))
		case err = <-parts.failed:
		}
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // asked to stop while still starting
	}
	err = errors.Join(err, parts.stop(err, p.node.Stop))
	err = errors.Join(err, p.db.Close())
	if err != nil {
		return fmt.Errorf("node %s: %w", p.f.name, err)
	}
	p.log.Info("stopped")
	return nil
}

func (p *process) start(ctx context.Context, parts *parts) error {
	p.buildMembership()
	if err := p.member.Adopt(); err != nil {
		return err
	}
	if !p.member.Member() && len(p.f.join) == 0 {
		if err := p.member.Bootstrap(); err != nil {
			return err
		}
	}
	parts.run("peers", p.peers.Run)
	parts.run("gossip", p.gossip.Run)
	parts.run("announce", func(ctx context.Context) error { p.announce(ctx); return nil })
	select {
	case <-p.gossip.Started():
	case err := <-parts.failed:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.machine.OnChange(nil) // gossip hears the addresses and the epoch
	parts.doors = append(parts.doors, parts.run("http", p.http.Run))
	redis := ""
	if p.resp != nil {
		redis = p.resp.Addr().String()
		parts.doors = append(parts.doors, parts.run("resp", p.resp.Run))
	}
	p.log.Info("serving", "name", p.f.name, "node", p.identity.Node.String(), "http", p.http.Addr().String(), "resp", redis, "peer", p.peers.Addr(), "gossip", p.gossip.Addr())
	if !p.member.Member() {
		p.log.Info("waiting for a cluster to join", "join", p.f.join, "bootstrap-expect", p.f.expect)
		found, err := p.awaitCluster(ctx, parts)
		if err != nil {
			return err
		}
		if !found {
			if err := p.member.Bootstrap(); err != nil {
				return err
			}
		}
	}
	parts.run("loop", p.loop.Run)
	parts.run("node", p.node.Run)
	parts.run("membership", func(ctx context.Context) error {
		err := p.member.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			<-ctx.Done()
		}
		return err
	})
	return nil
}

// awaitCluster gives up when a part fails.
func (p *process) awaitCluster(ctx context.Context, parts *parts) (found bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-parts.failed:
			cancel(err)
		case <-ctx.Done():
		}
	}()
	return p.member.AwaitCluster(ctx)
}

// parts are what runs, each with an end of its own.
type parts struct {
	list   []*part
	doors  []*part // the front doors, which close first
	failed chan error
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error
}

func (ps *parts) run(name string, run func(context.Context) error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, cancel: cancel}
	p.done.Go(func() {
		p.err = run(ctx)
		if p.err != nil {
			p.err = fmt.Errorf("%s: %w", name, p.err)
		}
		if ctx.Err() == nil {
			err := p.err
			if err == nil {
				err = fmt.Errorf("%s ended by itself", name)
			}
			select {
			case ps.failed <- err:
			default: // one reason to stop is enough
			}
		}
	})
	ps.list = append(ps.list, p)
	return p
}

func (p *part) stop() error {
	p.cancel()
	p.done.Wait()
	return p.err
}

// stop ends the front doors, then refuses what is still asked, then ends the rest in reverse.
// It does not repeat the error that is already told.
func (ps *parts) stop(told error, refuse func()) error {
	var errs []error
	end := func(p *part) {
		if err := p.stop(); !errors.Is(told, err) {
			errs = append(errs, err)
		}
	}
	for _, door := range ps.doors {
		door.cancel()
	}
	for _, door := range ps.doors {
		end(door)
	}
	refuse()
	for i := len(ps.list) - 1; i >= 0; i-- {
		if !slices.Contains(ps.doors, ps.list[i]) {
			end(ps.list[i])
		}
	}
	return errors.Join(errs...)
}
