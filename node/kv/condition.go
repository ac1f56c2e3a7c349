package kv

// CondKind is how a Condition compares.
type CondKind uint8

const (
	CondNone    CondKind = 0 // always met
	CondVersion CondKind = 1 // the key exists and its version is Condition.Version
	CondAbsent  CondKind = 2 // the key does not exist
	CondPresent CondKind = 3 // the key exists
	CondValue   CondKind = 4 // the key exists and the bytes of its value are Condition.Value

	// Of OpExpire only. The key must exist for them, else the outcome is NotFound.
	CondNoDeadline  CondKind = 5 // the key has no deadline
	CondDeadline    CondKind = 6 // the key has a deadline
	CondLater       CondKind = 7 // the new deadline is later; having none is the latest of all
	CondEarlier     CondKind = 8 // the new deadline is earlier; having none is the latest of all
	CondHasAndEarly CondKind = 9 // the key has a deadline, and the new one is earlier

	CondNewAbsent CondKind = 10 // of OpRename only: NewKey does not exist
	condKindLimit CondKind = 11
)

// Condition must hold in the replicated state when the command is applied, or the command
// changes nothing and its result is ConditionFailed.
type Condition struct {
	Kind    CondKind
	Version uint64
	Value   []byte
}

// validate checks that a condition is one of the operation's.
func (c *Condition) validate(op Op) error {
	switch {
	case c.Kind >= condKindLimit:
		return Errorf(Invalid, "unknown condition %d", c.Kind)
	case c.Kind != CondNone && op == OpRead,
		c.Kind >= CondNoDeadline && c.Kind <= CondHasAndEarly && op != OpExpire,
		c.Kind == CondNewAbsent && op != OpRename:
		return Errorf(Invalid, "condition %d does not go with operation %d", c.Kind, op)
	case len(c.Value) > DefaultMaxValueBytes:
		return Errorf(TooLarge, "Value to compare with is longer than %d bytes", DefaultMaxValueBytes)
	}
	return nil
}
