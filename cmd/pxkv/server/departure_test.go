package server

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"pxkv/node/kv"
)

// A node that is too busy to say what would be lost does not stop as if nothing were; one that never will say, does.
func TestHoldUntilItIsKnown(t *testing.T) {
	t.Parallel()
	answers := []error{context.DeadlineExceeded, context.DeadlineExceeded, nil}
	asked := 0
	hold(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) ([]kv.PartitionID, error) {
		asked++
		return nil, answers[asked-1]
	})
	if asked != len(answers) {
		t.Errorf("it asked %d times", asked)
	}
	asked = 0
	hold(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) ([]kv.PartitionID, error) {
		asked++
		return nil, errors.New("the loop has ended")
	})
	if asked != 1 {
		t.Errorf("it asked %d times after the end", asked)
	}
}
