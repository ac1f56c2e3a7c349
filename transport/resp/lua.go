package resp

import "strings"

// maxScriptBytes bounds the text of a script that is looked at: the longest that is known has 1.2 kB.
const maxScriptBytes = 4 << 10

// normalize writes a Lua script as its words with a space between them, such that texts which differ in
// nothing that matters to recipes become the same: comments and semicolons are dropped, local names are
// numbered in the order in which they come, strings are written in small letters between single quotes,
// pcall is call, and a condition stands without the parentheses around it. false: it is no text that a
// recipe could have.
func normalize(script string) (string, bool) {
	words, ok := luaWords(script)
	if !ok {
		return "", false
	}
	words = bareConditions(words)
	names := map[string]string{}
	for i, w := range words {
		var fresh []string
		switch {
		case w == "local" && i+2 < len(words) && words[i+1] == "function":
			fresh = words[i+2 : i+3]
		case w == "local" && i+1 < len(words):
			fresh = words[i+1 : i+2]
		case w == "for" && i+3 < len(words) && words[i+2] == ",":
			fresh = []string{words[i+1], words[i+3]}
		}
		for _, name := range fresh {
			if names[name] == "" {
				names[name] = "v" + string(rune('a'+len(names)%26))
			}
		}
		if name := names[w]; name != "" && (i == 0 || words[i-1] != ".") {
			words[i] = name
		}
		if w == "pcall" {
			words[i] = "call"
		}
	}
	return strings.Join(words, " "), true
}

// bareConditions drops parentheses that are around the whole of a condition.
func bareConditions(words []string) []string {
	out := make([]string, 0, len(words))
	for i := 0; i < len(words); i++ {
		out = append(out, words[i])
		if words[i] != "if" && words[i] != "elseif" || i+1 == len(words) || words[i+1] != "(" {
			continue
		}
		depth, end := 0, i+1
		for ; end < len(words); end++ {
			if words[end] == "(" {
				depth++
			} else if words[end] == ")" {
				if depth--; depth == 0 {
					break
				}
			}
		}
		if end+1 < len(words) && words[end+1] == "then" {
			out = append(out, words[i+2:end]...)
			i = end
		}
	}
	return out
}

// luaWords cuts a script into words.
func luaWords(s string) (words []string, ok bool) {
	if len(s) > maxScriptBytes {
		return nil, false
	}
	for s != "" {
		n := 1
		switch b := s[0]; {
		case b == ' ' || b == '\t' || b == '\r' || b == '\n' || b == ';':
			s = s[1:]
			continue
		case strings.HasPrefix(s, "--[["):
			end := strings.Index(s, "]]")
			if end < 0 {
				return nil, false
			}
			s = s[end+2:]
			continue
		case strings.HasPrefix(s, "--"):
			if _, s, ok = strings.Cut(s, "\n"); !ok {
				s = ""
			}
			continue
		case b == '"' || b == '\'':
			end := strings.IndexByte(s[1:], b)
			if end < 0 || strings.ContainsAny(s[1:1+end], "\\\n'") {
				return nil, false
			}
			words, s = append(words, "'"+strings.ToLower(s[1:1+end])+"'"), s[end+2:]
			continue
		case luaLetter(b):
			for n < len(s) && luaLetter(s[n]) {
				n++
			}
		case strings.HasPrefix(s, "=="), strings.HasPrefix(s, "~="), strings.HasPrefix(s, ".."),
			strings.HasPrefix(s, "<="), strings.HasPrefix(s, ">="):
			n = 2
		case !strings.ContainsRune("()[]{},.=<>+-*/#%^:", rune(b)):
			return nil, false
		}
		words, s = append(words, s[:n]), s[n:]
	}
	return words, true
}

func luaLetter(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
