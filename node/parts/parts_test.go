package parts

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

// until is a part that runs until it is ended, and says so.
func until(said *[]string, name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		*said = append(*said, name)
		return nil
	}
}

func TestPartsEndInReverse(t *testing.T) {
	t.Parallel()
	var said []string
	s := New()
	s.Start("a", until(&said, "a"))
	front := s.Start("front", until(&said, "front"))
	s.Start("b", until(&said, "b"))
	if err := errors.Join(s.Stop(nil, front), s.Stop(nil)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"front", "b", "a"}; !slices.Equal(said, want) {
		t.Fatalf("they ended as %v, want %v", said, want)
	}
}

func TestWhoEndsByItselfHasFailed(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, end := range []error{nil, broken} {
		s := New()
		s.Start("x", func(context.Context) error { return end })
		err := s.Await(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if err == nil || !strings.HasPrefix(err.Error(), "x") || end != nil && !errors.Is(err, end) {
			t.Errorf("it ended with %v, and what is told of it is %v", end, err)
		}
		if again := s.Stop(err); again != nil {
			t.Errorf("%v is told again", again)
		}
	}
}

func TestErrorsOfTheEndAreTold(t *testing.T) {
	t.Parallel()
	late := errors.New("late")
	s := New()
	s.Start("x", func(ctx context.Context) error {
		<-ctx.Done()
		return late
	})
	if err := s.Stop(errors.New("another one")); !errors.Is(err, late) {
		t.Errorf("what it said at its end is %v", err)
	}
	select {
	case err := <-s.Failed():
		t.Errorf("who was ended has failed: %v", err)
	default:
	}
}
