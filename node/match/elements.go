package match

// overElements are all functions that look at each element of an array, by what they make of it. That there is no
// array makes all of them nil: it is not sure what they would be.
var overElements = map[string]func(s *scope, list []any, holds eval) any{
	"all":  func(s *scope, list []any, holds eval) any { return s.every(list, holds, true) },
	"any":  func(s *scope, list []any, holds eval) any { return not(s.every(list, holds, false)) },
	"none": func(s *scope, list []any, holds eval) any { return s.every(list, holds, false) },
	"one": func(s *scope, list []any, holds eval) any {
		low, high := s.count(list, holds)
		return s.equal(span{low, high}, 1)
	},
	"count": func(s *scope, list []any, holds eval) any {
		low, high := s.count(list, holds)
		if low == high {
			return low
		}
		return span{low, high}
	},
	"filter": func(s *scope, list []any, holds eval) any {
		found := []any{}
		s.each(list, holds, func(e, is any) bool {
			if is == true {
				found = append(found, e)
			}
			return true
		})
		return found
	},
	"find": func(s *scope, list []any, holds eval) (found any) {
		s.each(list, holds, func(e, is any) bool {
			if is == true {
				found = e
			}
			return is != true
		})
		return found
	},
	"map": func(s *scope, list []any, of eval) any {
		made := make([]any, 0, len(list))
		s.each(list, of, func(_, is any) bool {
			made = append(made, settled(is))
			return true
		})
		return made
	},
}

// each gives take the elements, one after the other, with what an expression is for them, while take wants more and
// there is effort left.
func (s *scope) each(list []any, of eval, take func(element, is any) bool) {
	for _, e := range list {
		s.element = e
		if !s.spend(1) || !take(e, of(s)) {
			return
		}
	}
}

// every reports whether a condition is what is wanted for every element: nil when it is not sure for some, and what is
// sure for the others does not decide.
func (s *scope) every(list []any, holds eval, want bool) any {
	var all any = true
	s.each(list, holds, func(_, is any) bool {
		switch is {
		case want:
		case !want:
			all = false
			return false
		default:
			all = nil
		}
		return true
	})
	return all
}

// count tells for how many elements a condition holds, at least and at most.
func (s *scope) count(list []any, holds eval) (low, high int) {
	s.each(list, holds, func(_, is any) bool {
		if is != false {
			high++
		}
		if is == true {
			low++
		}
		return true
	})
	return low, high
}
