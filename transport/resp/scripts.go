package resp

import (
	"strings"
	"sync"

	"pxkv/node/kv"
)

var (
	errNoScript      = &failure{codeNoScript, "No matching script. Please use EVAL."}
	errUnknownScript = &failure{codeError, "this server has no Lua: it knows the scripts of common lock recipes, " +
		"and this is none of them. docs/api.md lists them"}
	errScriptKeys = &failure{codeError, "this script is carried out for one key at a time"}
	errScriptArgs = &failure{codeError, "this script reads more arguments than were given"}
	errContended  = &failure{codeClusterDown, "the key was changed by others each time: retry"}
)

// maxLearned bounds the spellings of known scripts that a node remembers by their SHA1.
const maxLearned = 1024

// scripts remembers which recipe a SHA1 stands for.
type scripts struct {
	mu      sync.Mutex
	learned map[string]*recipe
}

// learn returns the recipe of a script, nil when it is not known, and remembers it.
func (s *scripts) learn(script []byte) *recipe {
	if len(script) > maxScriptBytes {
		return nil
	}
	r := knownScripts().find(string(script))
	if r == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.learned == nil {
		s.learned = map[string]*recipe{}
	}
	if len(s.learned) >= maxLearned {
		for sha := range s.learned { // any: whoever misses it sends its text again
			delete(s.learned, sha)
			break
		}
	}
	s.learned[shaOf(string(script))] = r
	return r
}

// of returns the recipe of a SHA1 in hexadecimal digits, nil when none is known.
func (s *scripts) of(sha []byte) *recipe {
	lower := strings.ToLower(string(sha))
	if r := knownScripts().bySHA[lower]; r != nil {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.learned[lower]
}

func (s *scripts) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.learned = nil
}

// evalCommand answers EVAL.
func evalCommand(h *handler, args [][]byte) {
	keys, argv, fault := scriptArguments(args)
	if fault != nil {
		h.fail(fault)
		return
	}
	r := h.server.scripts.learn(args[1])
	if r == nil {
		h.fail(errUnknownScript)
		return
	}
	(&scriptRun{h, r, keys, argv}).carryOut()
}

// evalshaCommand answers EVALSHA.
func evalshaCommand(h *handler, args [][]byte) {
	keys, argv, fault := scriptArguments(args)
	if fault != nil {
		h.fail(fault)
		return
	}
	r := h.server.scripts.of(args[1])
	if r == nil {
		h.fail(errNoScript)
		return
	}
	(&scriptRun{h, r, keys, argv}).carryOut()
}

// scriptLoadCommand answers SCRIPT LOAD.
func scriptLoadCommand(h *handler, args [][]byte) {
	if h.server.scripts.learn(args[2]) == nil {
		h.fail(errUnknownScript)
		return
	}
	h.bulkText(shaOf(string(args[2])))
}

// scriptExistsCommand answers SCRIPT EXISTS.
func scriptExistsCommand(h *handler, args [][]byte) {
	h.array(len(args) - 2)
	for _, sha := range args[2:] {
		known := int64(0)
		if h.server.scripts.of(sha) != nil {
			known = 1
		}
		h.integer(known)
	}
}

// scriptFlushCommand answers SCRIPT FLUSH. What is known from the start stays.
func scriptFlushCommand(h *handler, args [][]byte) {
	if len(args) > 3 || len(args) == 3 && !is(args[2], "sync") && !is(args[2], "async") {
		h.fail(&failure{codeError, "SCRIPT FLUSH only support SYNC|ASYNC option"})
		return
	}
	h.server.scripts.forget()
	h.ok()
}

// scriptArguments are what a script is called with.
func scriptArguments(args [][]byte) (keys, argv [][]byte, fault *failure) {
	n, ok := kv.ParseInt(args[2])
	switch {
	case !ok:
		return nil, nil, errNotInteger
	case n < 0:
		return nil, nil, &failure{codeError, "Number of keys can't be negative"}
	case n > int64(len(args)-3):
		return nil, nil, &failure{codeError, "Number of keys can't be greater than number of args"}
	}
	return args[3 : 3+n], args[3+n:], nil
}
