package kv

// Op is what a Command does.
type Op uint8

// What is said of absent keys holds for expired ones as well.
const (
	OpPut    Op = 1 // set Key to Value
	OpDelete Op = 2 // remove Key
	// OpIncr adds Delta to the integer that Key holds, 0 when absent. A key that it makes is the
	// JSON number; one that was there keeps its kind.
	OpIncr Op = 3
	// OpIncrFloat adds the decimal number in Value.Data to the number that Key holds, 0 when
	// absent, as Redis does on x86: with 64 bits of precision, written with at most 17 decimals.
	OpIncrFloat Op = 4
	// OpAppend adds Value.Data to the end of what Key holds, nothing when absent.
	OpAppend Op = 5
	// OpSetRange writes Value.Data over what Key holds from Offset on, with zero bytes in a gap. Empty
	// data changes nothing.
	OpSetRange Op = 6
	OpExpire   Op = 7 // give Key the deadline that Expiry says, and leave its value alone
	OpRename   Op = 8 // move value and deadline of Key to NewKey, of the same partition
	OpRead     Op = 9 // read Key at its place in the log, among the writes of a batch or transaction
	opLimit    Op = 10
)

// Command is one operation, as every front door hands it on. It names keys of one partition; it
// is decided when it is applied, from replicated state only.
type Command struct {
	Op   Op
	Key  []byte
	Cond Condition
	// Value is set for OpPut. OpIncrFloat, OpAppend and OpSetRange use its Data alone.
	Value Value
	// Expiry says which deadline OpPut and OpExpire give the key. The other operations leave a
	// deadline as it is.
	Expiry Expiry
	Delta  int64  // for OpIncr
	Offset int64  // for OpSetRange, in bytes
	NewKey []byte // for OpRename
	// Part is what OpRead asks for. It is no part of the encoding: what is read in the log is read whole,
	// and cut by the node that asked.
	Part Part
	// Limit is the longest value in bytes that OpAppend and OpSetRange may make, at most
	// DefaultMaxValueBytes, which is also what 0 means. Nodes fill it in.
	Limit int64
	// Blind says that the caller does not need Result.Created: an unconditional put then
	// need not look at the old value.
	Blind bool
	// ReturnOld asks for Result.Item: what the key held before, also when the condition failed.
	ReturnOld bool
}

// Asks reports whether the result has a value of any length in it.
func (c *Command) Asks() bool { return c.Op == OpRead || c.Op == OpIncrFloat || c.ReturnOld }

// MaxLength is the longest value in bytes that the command may make.
func (c *Command) MaxLength() int64 {
	if c.Limit <= 0 {
		return DefaultMaxValueBytes
	}
	return min(c.Limit, DefaultMaxValueBytes)
}

// ExpiryKind is how an Expiry is meant.
type ExpiryKind uint8

const (
	ExpiryNone      ExpiryKind = 0 // no deadline; a former one ends
	ExpiryKeep      ExpiryKind = 1 // the deadline that the key has, if any
	ExpiryIn        ExpiryKind = 2 // MS milliseconds after the moment at which the leader took the command
	ExpiryAt        ExpiryKind = 3 // the Unix time of MS milliseconds
	expiryKindLimit ExpiryKind = 4
)

// Expiry gives a key its deadline. One that has passed already deletes the key, which is then
// absent as after OpDelete.
type Expiry struct {
	Kind ExpiryKind
	MS   int64
}

// Outcome is how a command ended in the state machine. With all but Done nothing changed.
type Outcome uint8

const (
	Done            Outcome = 1
	NotFound        Outcome = 2 // OpDelete, OpExpire, OpRename or OpRead found no such key
	ConditionFailed Outcome = 3 // the condition was not met
	NotInteger      Outcome = 4 // OpIncr: the value is no integer of 64 bits in plain decimal digits
	Overflow        Outcome = 5 // OpIncr: the sum is no integer of 64 bits
	NotFloat        Outcome = 6 // OpIncrFloat: the value is no decimal number
	NotFinite       Outcome = 7 // OpIncrFloat: the sum is too large
	// ValueTooLarge: OpAppend or OpSetRange would make a value longer than Limit.
	ValueTooLarge Outcome = 8
	outcomeLimit  Outcome = 9
)

// Known reports whether o is an outcome of this version.
func (o Outcome) Known() bool { return o >= Done && o < outcomeLimit }

// Result is what the state machine answered. It exists only when the command was
// committed: an Error tells all other endings.
type Result struct {
	Outcome Outcome
	Created bool   // a put that was not Blind, or another write, made a key that was absent
	Version uint64 // the key's version after the command; 0 when it does not exist
	// Number is the sum after OpIncr, and the value's length in bytes after OpAppend, OpSetRange and a
	// OpRead of a part.
	Number int64
	// Deadline is that of the key after the command, Unix milliseconds, 0 for none.
	Deadline int64
	// Item is what OpRead read, what ReturnOld asked for, or what OpIncrFloat made; without Key.
	// It is nil when the key was absent.
	Item *Item
	// NowMS is the group's time of OpRead, Unix milliseconds, where Item has a Deadline.
	NowMS   int64
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
	// Part is how much of the value is asked for.
	Part Part
}

// ReadResult answers a read of one key.
type ReadResult struct {
	Found   bool
	Item    Item  // without Key, and with the part of its data that was asked for; valid when Found
	Length  int64 // of the whole data in bytes
	Receipt Receipt
	// NowMS is the group's time of the read, Unix milliseconds, where Item has a Deadline: what is
	// left of a key's life is counted from it, and not by another clock.
	NowMS int64
	// StalenessMS is, for stale reads, how old the data is at most, in milliseconds rounded up: every write
	// that was acknowledged so long before is in it. StalenessUnknown: the replica cannot tell. 0 for
	// linearizable reads.
	StalenessMS int64
}

// StalenessUnknown is the StalenessMS of a replica that cannot tell how old its data is.
const StalenessUnknown = -1

// ListQuery selects items of the whole cluster, in byte order of their keys.
type ListQuery struct {
	Prefix []byte // only keys that begin so
	From   []byte // only keys >= From
	To     []byte // only keys < To; empty is no bound
	Filter Filter
	// Progress, when not nil, is called now and then while items are looked for, also where none is found;
	// from several goroutines at a time.
	Progress    func()
	Limit       int  // at most so many items; 0 is no limit
	KeysOnly    bool // items come without Value.Data
	Consistency Consistency
}
