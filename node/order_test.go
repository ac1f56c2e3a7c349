package node

import (
	"context"
	"testing"

	"pxkv/node/kv"
)

// An order that may have been carried out is given again, and is never called undone.
func TestAnOrderOfUnknownOutcomeIsGivenAgain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		ends  []kv.ErrorKind // of the attempts; 0: it is done
		end   kv.ErrorKind
		tries int
	}{
		{[]kv.ErrorKind{0}, 0, 1},
		{[]kv.ErrorKind{kv.Unknown, 0}, 0, 2},
		{[]kv.ErrorKind{kv.Unavailable}, kv.Unavailable, 1},
		{[]kv.ErrorKind{kv.Invalid}, kv.Invalid, 1},
		{[]kv.ErrorKind{kv.Unknown, kv.Unavailable}, kv.Unknown, 2},
		{[]kv.ErrorKind{kv.Unknown, kv.Unknown, kv.Unknown, 0}, kv.Unknown, 3},
	} {
		tries := 0
		v, err := settled(t.Context(), func() (kv.OrderView, error) {
			kind := tc.ends[tries]
			if tries++; kind != 0 {
				return kv.OrderView{}, kv.Errorf(kind, "an end")
			}
			return kv.OrderView{State: kv.Leaving}, nil
		})
		if kv.KindOf(err) != tc.end || tries != tc.tries || (err == nil) != (v.State == kv.Leaving) {
			t.Errorf("%v: %+v, %v after %d attempts", tc.ends, v, err, tries)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tries := 0
	if _, err := settled(ended, func() (kv.OrderView, error) {
		tries++
		return kv.OrderView{}, kv.ErrUnknown()
	}); kv.KindOf(err) != kv.Unknown || tries != 1 {
		t.Errorf("%v after %d attempts", err, tries)
	}
	if orderMethod.Repeatable {
		t.Error("an order changes something")
	}
}
