package kv

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadline: it must be indistinguishable from context.WithDeadline for whoever
// uses it.
func TestDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "value"))
		defer cancel()
		fresh := func() *Deadline {
			c := NewDeadline(parent, time.Now().Add(time.Second))
			t.Cleanup(c.Release)
			return c
		}
		c := fresh()
		if d, ok := c.Deadline(); !ok || time.Until(d) != time.Second || c.Err() != nil {
			t.Errorf("deadline %v, error %v", d, c.Err())
		}
		time.Sleep(time.Second)
		if !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("unarmed after the deadline: %v", c.Err())
		}
		if <-c.Done(); !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("armed after the deadline: %v", c.Err())
		}

		c = fresh()
		child, stop := context.WithTimeout(c, time.Hour)
		defer stop()
		<-child.Done()
		if !errors.Is(child.Err(), context.DeadlineExceeded) || child.Value(contextKey{}) != "value" {
			t.Errorf("child: %v", child.Err())
		}

		earlier, stopEarlier := context.WithTimeout(parent, time.Millisecond)
		defer stopEarlier()
		if d, _ := NewDeadline(earlier, time.Now().Add(time.Second)).Deadline(); time.Until(d) != time.Millisecond {
			t.Errorf("the parent's deadline comes first, but it is %v", d)
		}

		c = fresh()
		cancel()
		if !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("unarmed after the parent's end: %v", c.Err())
		}
		if <-c.Done(); !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("armed after the parent's end: %v", c.Err())
		}
	})
}

type contextKey struct{}
