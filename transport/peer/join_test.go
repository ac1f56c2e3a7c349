package peer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// Frames are for members only: a peer drops those of a node that told it that it is in no
// cluster. Whenever a node joins one, also in the middle of a handshake, whoever dialed, the peer
// soon hears frames of a member.
func TestAPeerSoonKnowsThatThisNodeHasJoined(t *testing.T) {
	t.Parallel()
	for _, joinerDials := range []bool{false, true} {
		for at := 1; at <= 6; at++ {
			t.Run(fmt.Sprintf("joiner dials %v, joins at look %d", joinerDials, at), func(t *testing.T) {
				t.Parallel()
				var b book
				var members atomic.Int64
				member := start(t, &b, 1, &testHandler{frame: func(from Remote, _ []byte) {
					if from.Cluster == testCluster {
						members.Add(1)
					}
				}})
				var looks atomic.Int64
				var cluster atomic.Uint64
				var joiner atomic.Pointer[node]
				joiner.Store(start(t, &b, 2, &testHandler{}, func(o *Options) {
					o.DeadAfter = 2 * time.Second
					o.Cluster = func() kv.ClusterID {
						before := kv.ClusterID(cluster.Load())
						if looks.Add(1) == int64(at) { // the caller still says what it has read
							cluster.Store(uint64(testCluster))
							if n := joiner.Load(); n != nil {
								n.ClusterChanged()
							}
						}
						return before
					}
				}))
				if joinerDials {
					joiner.Load().Send(1, nil)
				} else {
					member.Send(2, nil)
				}
				wiretest.Eventually(t, "a frame of a member", func() bool {
					joiner.Load().Send(1, nil)
					return members.Load() > 0
				})
			})
		}
	}
}

// The end of links that are out of date does not rest on being told.
func TestOutdatedLinksEndByThemselves(t *testing.T) {
	t.Parallel()
	var b book
	var cluster atomic.Uint64
	n1 := start(t, &b, 1, &testHandler{}, func(o *Options) {
		o.DeadAfter = 200 * time.Millisecond
		o.Cluster = func() kv.ClusterID { return kv.ClusterID(cluster.Load()) }
	})
	start(t, &b, 2, &testHandler{})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	cluster.Store(uint64(testCluster))
	wiretest.Eventually(t, "the link ends", func() bool { return links(n1.Transport, 2) == 0 })
}

// What was refused before is not waited for: a node that has joined dials again at once.
func TestJoiningEndsTheWaitAfterARefusal(t *testing.T) {
	t.Parallel()
	var b book
	var cluster atomic.Uint64
	cluster.Store(uint64(testCluster) + 1)
	n1 := start(t, &b, 1, &testHandler{}, func(o *Options) {
		o.Cluster = func() kv.ClusterID { return kv.ClusterID(cluster.Load()) }
	})
	start(t, &b, 2, &testHandler{})
	wantErr(t, get(t, ask(t, n1.Transport, 2, time.Time{}, nil)).err, ErrNotSent)
	cluster.Store(uint64(testCluster))
	n1.ClusterChanged()
	if r := get(t, ask(t, n1.Transport, 2, time.Time{}, nil)); r.err != nil {
		t.Errorf("right after joining: %v", r.err)
	}
}
