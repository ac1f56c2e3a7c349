package kv

// Op is what a Command does.
type Op uint8

const (
	OpPut    Op = 1 // set Key to Value
	OpDelete Op = 2 // remove Key
)

// CondKind is how a Condition compares.
type CondKind uint8

const (
	CondNone      CondKind = 0 // always met
	CondVersion   CondKind = 1 // the key exists and its version is Condition.Version
	CondAbsent    CondKind = 2 // the key does not exist
	CondPresent   CondKind = 3 // the key exists
	condKindLimit CondKind = 4
)

// Condition must hold in the replicated state when the command is applied, or the command
// changes nothing and its result is ConditionFailed.
type Condition struct {
	Kind    CondKind
	Version uint64
}

// Command is one write, as every front door hands it on. It names one key and so one
// partition; it is decided when it is applied, from replicated state only.
type Command struct {
	Op   Op
	Key  []byte
	Cond Condition
	// Value is set for OpPut.
	Value Value
	// Blind says that the caller does not need Result.Created: an unconditional put then
	// need not look at the old value.
	Blind bool
}

// Outcome is how a command ended in the state machine.
type Outcome uint8

const (
	Done            Outcome = 1 // applied
	NotFound        Outcome = 2 // a delete found no such key; nothing changed
	ConditionFailed Outcome = 3 // the condition was not met; nothing changed
)

// Result is what the state machine answered. It exists only when the command was
// committed: an Error tells all other endings.
type Result struct {
	Outcome Outcome
	Created bool   // a put that was not Blind made a key that was absent
	Version uint64 // the key's version after the command; 0 when it does not exist
	Receipt Receipt
}

// Receipt says which state an answer reflects.
type Receipt struct {
	Partition PartitionID
	Index     uint64 // the partition's Raft index
	Node      string // name of the node that answered for the partition
}

// Consistency is what a read promises.
type Consistency uint8

const (
	Linearizable Consistency = 0 // sees every write that was acknowledged before the read began
	Stale        Consistency = 1 // answered by the nearest replica from what it has
)

// ReadOptions refine a read.
type ReadOptions struct {
	Consistency Consistency
	// MinIndex makes a stale read wait until its replica has applied this index of the
	// key's partition. 0 does not wait.
	MinIndex uint64
}

// ReadResult answers a read of one key.
type ReadResult struct {
	Found   bool
	Item    Item // without Key; valid when Found
	Receipt Receipt
	// StalenessMS is, for stale reads, how old the data may be in milliseconds (time since the
	// replica last heard from its leader); 0 for linearizable reads.
	StalenessMS int64
}

// ListQuery selects items of the whole cluster, in byte order of their keys.
type ListQuery struct {
	Prefix      []byte // only keys that begin so
	From        []byte // only keys >= From
	Limit       int    // at most so many items; 0 is no limit
	KeysOnly    bool   // items come without Value.Data
	Consistency Consistency
}

// Validate checks what does not depend on any state: key and content type lengths, op,
// condition and kind. maxValue is the largest value in bytes.
func (c *Command) Validate(maxValue int) error {
	if err := ValidateKey(c.Key); err != nil {
		return err
	}
	if c.Cond.Kind >= condKindLimit {
		return Errorf(Invalid, "unknown condition %d", c.Cond.Kind)
	}
	switch c.Op {
	case OpPut:
		if c.Value.Kind < String || c.Value.Kind > Binary {
			return Errorf(Invalid, "unknown value kind %d", c.Value.Kind)
		}
		if len(c.Value.Data) > maxValue {
			return Errorf(TooLarge, "Value of %d bytes is larger than the limit of %d bytes", len(c.Value.Data), maxValue)
		}
		if len(c.Value.ContentType) > MaxContentTypeBytes {
			return Errorf(Invalid, "Content-Type is longer than %d bytes", MaxContentTypeBytes)
		}
	case OpDelete:
	default:
		return Errorf(Invalid, "unknown operation %d", c.Op)
	}
	return nil
}

// ValidateKey checks a key's length.
func ValidateKey(key []byte) error {
	if len(key) == 0 {
		return Errorf(Invalid, "Missing key")
	}
	if len(key) > MaxKeyBytes {
		return Errorf(Invalid, "Key of %d bytes is longer than the limit of %d bytes", len(key), MaxKeyBytes)
	}
	return nil
}
