package match

import (
	"errors"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"

	"pxkv/node/kv"
)

const (
	maxNodes = 256 // of an expression's syntax tree
	maxLong  = 8   // functions over elements, and patterns: each takes long where the value is
)

// compileWhere compiles an expression, nil for none. The library reads it and checks the types of what it names; what
// it means is said here, in compile.go, for the library knows no third value beside true and false.
func compileWhere(text string) (eval, *kv.Error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > kv.MaxWhereBytes {
		return nil, tooLong("where", kv.MaxWhereBytes)
	}
	config := conf.CreateNew()
	for _, o := range options() {
		o(config)
	}
	tree, err := checker.ParseCheck(text, config)
	if err != nil {
		return nil, whereError(text, err)
	}
	var c compiler
	is := c.node(tree.Node)
	if c.err != nil {
		return nil, whereError(text, c.err)
	}
	return is, nil
}

// options tell the library what can be named.
func options() []expr.Option {
	o := []expr.Option{
		expr.Env(environment), expr.AsBool(), expr.MaxNodes(maxNodes), expr.DisableIfOperator(),
		expr.DisableAllBuiltins(),
	}
	for name := range overElements {
		o = append(o, expr.EnableBuiltin(name))
	}
	for name := range called {
		o = append(o, expr.Function(name, neverCalled, new(func(any) any)))
	}
	return o
}

// neverCalled is what the library is given in place of functions, of which it needs to know the type.
func neverCalled(...any) (any, error) { return nil, errors.ErrUnsupported }

// environment is what expressions can name, and its types.
var environment = types.Map{
	"key": types.String, "value": types.Any, "version": types.Int, "ttl": types.Any, "type": types.String,
	"size": types.Int,
}

// names are what stands for these names.
var names = map[string]eval{
	"key": func(s *scope) any {
		if s.key == nil {
			s.key = string(s.item.Key)
		}
		return s.key
	},
	"value": func(s *scope) any {
		if !s.decoded {
			s.value, s.decoded = valueOf(&s.item.Value), true
		}
		return s.value
	},
	"version": func(s *scope) any { return int(s.item.Version) }, //nolint:gosec // versions are far below 2^63
	"size":    func(s *scope) any { return len(s.item.Value.Data) },
	"type":    func(s *scope) any { return string(s.item.Value.Type()) },
	"ttl": func(s *scope) any {
		if s.item.Deadline == 0 {
			return nil
		}
		return float64(s.item.Deadline-s.nowMS) / 1000
	},
}

// scope is what one evaluation is about, and what it has come to.
type scope struct {
	effort
	item    *kv.Item
	nowMS   int64
	key     any // when it was asked for
	value   any // when decoded says so
	decoded bool
	element any // of the function over elements that is evaluated: there is one at a time
}

// holds reports whether an expression is surely true of an item at a time in Unix milliseconds.
func holds(is eval, it *kv.Item, nowMS int64) bool {
	s := scope{item: it, nowMS: nowMS}
	s.begin(len(it.Value.Data))
	return is(&s) == true && !s.spent()
}

// whereError tells what is wrong with an expression, and at which character.
func whereError(text string, err error) *kv.Error {
	what, at := err.Error(), 0
	if e, ok := errors.AsType[*file.Error](err); ok {
		what, at = e.Message, e.From
	}
	what, _, _ = strings.Cut(what, "\n")
	return kv.Errorf(kv.Invalid, "Parameter where: %.200s at character %d of %d", what, at+1, len([]rune(text)))
}
