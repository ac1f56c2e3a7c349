package node

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// A node whose turns stand still, as when a read of its disk hangs in one, leads nothing any more. It
// does not go by what its replicas knew last: it asks the others, and serves by them until it goes on.
func TestANodeThatStandsStillPassesRequestsOn(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a := servers[0]
	standing, mended := make(chan struct{}), make(chan struct{})
	mend := sync.OnceFunc(func() { close(mended) })
	t.Cleanup(mend)
	go func() {
		_ = a.loop.Do(context.Background(), func(*replica.Host) { close(standing); <-mended })
	}()
	<-standing
	eventually(t, "others lead all that it led", func() error {
		for _, s := range servers {
			for p := range kv.PartitionID(c.partitions) {
				if id, _ := s.node.client.Leader(p); id == 0 || id == a.id() {
					return fmt.Errorf("%s believes that node %s leads partition %s", s.name, id, p)
				}
			}
			if err := s.node.Ready(); err != nil {
				return err
			}
		}
		return nil
	})
	for _, s := range servers {
		s.serves(t, "standing still")
	}
	for p := range kv.PartitionID(c.partitions) {
		if a.loop.Handle(p).HasLease(bootTime()) {
			t.Errorf("partition %s: it reads from a lease", p)
		}
	}
	mend()
	c.settled(3)
	for _, s := range servers {
		s.serves(t, "going on")
	}
}
