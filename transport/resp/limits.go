package resp

import (
	"cmp"
	"errors"
)

// Limits are thresholds at which a connection does something in pieces. None of them changes an
// answer; tests draw them tiny, so that the paths behind them are walked all the time. A zero
// value means the default named at its field. All but the first two are in bytes.
type Limits struct {
	Operations int // operations that are carried out together, default 1024
	Waiting    int // commands that wait for that, those included that need no operation, default 4096

	SendAbove  int // answers are gathered up to here before they are sent, default 64 KiB
	SendPiece  int // what is written under one deadline, default 256 KiB
	SmallInput int // buffer of an idle connection, default 4 KiB
	LargeInput int // buffer that a busy connection borrows, default 64 KiB
}

func (l Limits) withDefaults() Limits {
	l.Operations = cmp.Or(l.Operations, 1024)
	l.Waiting = cmp.Or(l.Waiting, 4096)
	l.SendAbove = cmp.Or(l.SendAbove, 64<<10)
	l.SendPiece = cmp.Or(l.SendPiece, 256<<10)
	l.SmallInput = cmp.Or(l.SmallInput, 4<<10)
	l.LargeInput = cmp.Or(l.LargeInput, 64<<10)
	return l
}

func (l Limits) validate() error {
	if min(l.Operations, l.Waiting, l.SendAbove, l.SendPiece, l.SmallInput) < 1 {
		return errors.New("resp: Options.Limits must be positive")
	}
	if l.LargeInput < l.SmallInput {
		return errors.New("resp: Options.Limits.LargeInput must not be below SmallInput")
	}
	return nil
}

// keepOperations bounds the room for operations and waiting commands that is used again.
func (l *Limits) keepOperations() int { return 2 * l.Operations }

// keepOut bounds the buffers of answers that are used again.
func (l *Limits) keepOut() int { return 4 * l.SendAbove }
