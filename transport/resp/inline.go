package resp

// splitLine splits an inline command into arguments, as Redis does (sdssplitargs): "..." with
// \n \r \t \b \a \xHH, '...' with \', and anything else up to a blank. It reports false for
// quotes that do not end, or that something follows directly.
func splitLine(line []byte) (args [][]byte, ok bool) {
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) || line[i] == 0 {
			return args, true
		}
		word := []byte{}
		for done := false; !done; {
			if i == len(line) {
				break
			}
			switch c := line[i]; c {
			case ' ', '\n', '\r', '\t', 0:
				done = true
			case '"', '\'':
				if word, i, ok = quoted(word, line, i+1, c); !ok {
					return nil, false
				}
				if i < len(line) && !isSpace(line[i]) {
					return nil, false
				}
				done = true
			default:
				word = append(word, c)
				i++
			}
		}
		args = append(args, word)
	}
}

// quoted appends to word what stands in quotes from line[i] on, and returns where it ends.
func quoted(word, line []byte, i int, quote byte) (_ []byte, next int, ok bool) {
	for ; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			return word, i + 1, true
		case c == '\\' && quote == '"' && i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]):
			word = append(word, unhex(line[i+2])<<4|unhex(line[i+3]))
			i += 3
		case c == '\\' && quote == '"' && i+1 < len(line):
			i++
			switch c = line[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'b':
				c = '\b'
			case 'a':
				c = '\a'
			}
			word = append(word, c)
		case c == '\\' && quote == '\'' && i+1 < len(line) && line[i+1] == '\'':
			i++
			word = append(word, '\'')
		default:
			word = append(word, c)
		}
	}
	return nil, i, false
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
