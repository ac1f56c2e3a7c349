package replica

import (
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

// StateMachine turns committed payloads into effects. Apply and Purge are pure functions of the state
// and the payload: no clock, configuration, randomness or map order, or replicas diverge. An error of theirs
// means that this binary cannot go on: the node stops.
type StateMachine interface {
	// Apply executes a payload and brings ap (Revision, Hash) forward; its TimeMS is that of the
	// payload already, or a later one. When awaited it returns one Reply a command or transaction;
	// otherwise nobody here reads them, and what only they would need is not looked up.
	Apply(
		a *data.Apply, p kv.PartitionID, ap *state.Applied, payload *entry.Payload, awaited bool,
	) (entry.Outcome, error)
	// Due reports, to a leader, whether something has a deadline at or before a time, Unix milliseconds.
	Due(s *data.Store, p kv.PartitionID, timeMS int64) (bool, error)
	// Purge deletes some of what is due, as the payload says, and returns how much it was. a has no effects
	// in p yet.
	Purge(a *data.Apply, p kv.PartitionID, ap *state.Applied, payload *entry.Payload) (deleted int, err error)
	// Committed is called when the effects of all Apply calls so far can be read.
	Committed()
	// Reload is called when a snapshot replaced the partition's data.
	Reload() error
}
