package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"pxkv/node"
	"pxkv/node/kv"
)

func TestHold(t *testing.T) {
	t.Parallel()
	type said struct {
		lost, dark []kv.PartitionID
		err        error
	}
	some := []kv.PartitionID{3}
	unknown, outdated := said{err: context.DeadlineExceeded}, said{err: fmt.Errorf("%w: epoch 7", node.ErrOutdated)}
	for _, tc := range []struct {
		name        string
		say         func(since time.Duration) said
		least, most time.Duration
	}{
		{"nothing is lost: as long as leaders need to know who is there", func(time.Duration) said { return said{} },
			holdLeast, holdLeast + holdStep},
		{"what was believed a moment ago is found wrong", func(since time.Duration) said {
			if since < 300*time.Millisecond || since > 5*time.Second {
				return said{}
			}
			return said{lost: some}
		}, 5 * time.Second, 5*time.Second + 2*holdStep},
		{"too much is lost for ever", func(time.Duration) said { return said{lost: some} }, holdLimit,
			holdLimit + holdStep},
		{"what is dark is not waited for for long", func(time.Duration) said { return said{dark: some} }, holdDark,
			holdDark + holdStep},
		{"who is too busy to say does not stop as if nothing were lost", func(since time.Duration) said {
			if since < 4*time.Second {
				return unknown
			}
			return said{}
		}, 4 * time.Second, 4*time.Second + 2*holdStep},
		{"nor does who knows an older placement", func(since time.Duration) said {
			if since < 4*time.Second {
				return outdated
			}
			return said{}
		}, 4 * time.Second, 4*time.Second + 2*holdStep},
		{"who never says", func(time.Duration) said { return unknown }, holdLimit, holdLimit + holdStep},
		{"who never will say", func(time.Duration) said { return said{err: errors.New("broken")} }, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				say := func(context.Context) (lost, dark []kv.PartitionID, err error) {
					s := tc.say(time.Since(began))
					return s.lost, s.dark, s.err
				}
				hold(t.Context(), slog.New(slog.DiscardHandler), say)
				if took := time.Since(began); took < tc.least || took > tc.most {
					t.Errorf("it held for %v, want %v to %v", took, tc.least, tc.most)
				}
			})
		})
	}
}
