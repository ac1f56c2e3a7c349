package match

// effort is what is left of the work that an evaluation may do, in steps of some nanoseconds. A function over elements
// may compare the whole value with itself for each of them: without a bound that would cost the square of its length,
// in time, and by texts that are put together in memory too.
type effort struct{ left int }

const (
	// An item has so many steps, and more for each byte of its value.
	leastEffort   = 1 << 16
	effortPerByte = 16
	// bytesPerStep is how much of a text is looked at in a step. What is copied or matched with a pattern costs
	// a step a byte.
	bytesPerStep = 16
)

// begin gives what an item of so many bytes has.
func (e *effort) begin(size int) { e.left = leastEffort + size*effortPerByte }

// spend takes steps, and reports false when there are not so many, from then on.
func (e *effort) spend(steps int) bool {
	e.left -= steps
	return e.left >= 0
}

// spent reports whether the evaluation has taken more than it had: what comes of it is not to be used.
func (e *effort) spent() bool { return e.left < 0 }
