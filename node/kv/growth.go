package kv

// recordOverhead is about what a key takes besides its own bytes and those of its value.
const recordOverhead = 64

// Growth is about how many bytes c may add to what is stored, 0 for a command that adds nothing.
// One that writes a value anew counts as adding at least its key.
func (c *Command) Growth() int64 {
	added := int64(len(c.Key) + len(c.NewKey) + recordOverhead)
	switch c.Op {
	case OpDelete, OpRead:
		return 0
	case OpSetRange:
		if len(c.Value.Data) > 0 {
			// What would be longer than allowed is refused when it is applied.
			added += min(max(c.Offset, 0), c.MaxLength())
		}
	}
	return added + int64(len(c.Value.Data))
}

// Growth is that of all its commands.
func (t *Transaction) Growth() int64 {
	sum := int64(0)
	for i := range t.Commands {
		sum += t.Commands[i].Growth()
	}
	return sum
}
