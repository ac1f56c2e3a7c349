package kv

// MatchGlob reports whether text matches a pattern of KEYS and SCAN: *, ?, [a-z], [^a-z] and \x,
// over bytes, exactly as Redis decides it (util.c, stringmatchlen), unclosed brackets
// included.
func MatchGlob(pattern, text []byte) bool {
	hopeless := false
	return matchGlob(pattern, text, &hopeless)
}

// matchGlob is MatchGlob. It sets hopeless when what follows a star is nowhere in the rest of the
// text: then no earlier star can help, and the time stays polynomial.
func matchGlob(pattern, text []byte, hopeless *bool) bool {
	for len(pattern) > 0 && len(text) > 0 {
		switch pattern[0] {
		case '*':
			for len(pattern) > 1 && pattern[1] == '*' {
				pattern = pattern[1:]
			}
			if len(pattern) == 1 {
				return true
			}
			for ; len(text) > 0; text = text[1:] {
				if matchGlob(pattern[1:], text, hopeless) {
					return true
				}
				if *hopeless {
					return false
				}
			}
			*hopeless = true
			return false
		case '?':
			text, pattern = text[1:], pattern[1:]
			continue
		case '[':
			var in bool
			if in, pattern = matchGlobClass(pattern[1:], text[0]); !in {
				return false
			}
			text = text[1:]
			continue
		case '\\':
			if len(pattern) >= 2 {
				pattern = pattern[1:]
			}
		}
		if pattern[0] != text[0] {
			return false
		}
		text, pattern = text[1:], pattern[1:]
	}
	if len(text) == 0 {
		for len(pattern) > 0 && pattern[0] == '*' {
			pattern = pattern[1:]
		}
	}
	return len(pattern) == 0 && len(text) == 0
}

// matchGlobClass reports whether c is in the class whose pattern follows the opening bracket,
// and returns what follows the closing one.
func matchGlobClass(pattern []byte, c byte) (in bool, rest []byte) {
	not := len(pattern) > 0 && pattern[0] == '^'
	if not {
		pattern = pattern[1:]
	}
	found := false
	for {
		switch {
		case len(pattern) == 0:
			return found != not, nil
		case pattern[0] == '\\' && len(pattern) >= 2:
			pattern = pattern[1:]
			found = found || pattern[0] == c
		case pattern[0] == ']':
			return found != not, pattern[1:]
		case len(pattern) >= 3 && pattern[1] == '-':
			low, high := pattern[0], pattern[2]
			if low > high {
				low, high = high, low
			}
			found = found || c >= low && c <= high
			pattern = pattern[2:]
		default:
			found = found || pattern[0] == c
		}
		pattern = pattern[1:]
	}
}

// GlobPrefix is what every text that matches pattern begins with.
func GlobPrefix(pattern []byte) []byte {
	var prefix []byte
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?', '[':
			return prefix
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			prefix = append(prefix, pattern[i])
		default:
			prefix = append(prefix, c)
		}
	}
	return prefix
}
