package match

// effort is what is left of the work that an evaluation may do, in steps of some nanoseconds. A function over elements
// may compare the whole value with itself for each of them: without a bound that would cost the square of its length.
type effort struct{ left int }

const (
	// An item has so many steps, and more for each byte of its value.
	leastEffort   = 1 << 16
	effortPerByte = 16
	bytesPerStep  = 16 // of a text that is compared or copied
)

// begin gives what an item of so many bytes has.
func (e *effort) begin(size int) { e.left = leastEffort + size*effortPerByte }

// spend takes steps, and reports false when there are not so many.
func (e *effort) spend(steps int) bool {
	e.left -= steps
	return e.left >= 0
}

// costs tell the steps of the functions that take long for long arguments.
var costs = map[string]func(p []any) int{
	"equal": equalCost, "unequal": equalCost, "less": equalCost, "atmost": equalCost, "more": equalCost,
	"atleast":  equalCost,
	"between":  func(p []any) int { return textCost(p[0]) },
	"in":       func(p []any) int { return inCost(p[0], p[1]) },
	"contains": func(p []any) int { return textCost(p[0]) },
	"matches":  func(p []any) int { return bytesPerStep * textCost(p[0]) },
	"plus":     func(p []any) int { return textCost(p[0]) + textCost(p[1]) },
	"len":      func(p []any) int { return textCost(p[0]) },
	"lower":    func(p []any) int { return textCost(p[0]) },
	"upper":    func(p []any) int { return textCost(p[0]) },
	"trim":     func(p []any) int { return textCost(p[0]) },
	"number":   func(p []any) int { return textCost(p[0]) },
}

func textCost(a any) int {
	s, _ := a.(string)
	return len(s) / bytesPerStep
}

// equalCost is no more than what each of two values is long.
func equalCost(p []any) int {
	switch a := p[0].(type) {
	case string:
		return min(textCost(a), textCost(p[1]))
	case []any:
		if b, ok := p[1].([]any); ok && len(a) == len(b) {
			return steps(a)
		}
	case map[string]any:
		if b, ok := p[1].(map[string]any); ok && len(a) == len(b) {
			return steps(a)
		}
	}
	return 0
}

func inCost(a, b any) int {
	list, _ := b.([]any)
	switch a.(type) {
	case string, []any, map[string]any:
		return steps(list)
	}
	return len(list)
}

// steps counts what is in a value, however deep.
func steps(a any) int {
	n := 1
	switch a := a.(type) {
	case string:
		n += textCost(a)
	case []any:
		for _, e := range a {
			n += steps(e)
		}
	case map[string]any:
		for _, e := range a {
			n += steps(e)
		}
	}
	return n
}
