package match

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"pxkv/node/kv"
)

const (
	maxNodes = 256 // of an expression's syntax tree
	maxLong  = 8   // functions over elements, and patterns: each takes long where the value is
	// memoryBudget is how many elements an evaluation may make; beyond it the item does not match.
	memoryBudget = 1_000_000
)

// where is a compiled expression and what it is evaluated with.
type where struct {
	program *vm.Program
	machine vm.VM
	value   bool // it looks at the value
	env     map[string]any
	effort  *effort
}

// compileWhere compiles an expression, nil for none.
func compileWhere(text string) (*where, *kv.Error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > kv.MaxWhereBytes {
		return nil, tooLong("where", kv.MaxWhereBytes)
	}
	// Twice: what is wrong with it is told by the types that the client sees.
	rules := rules{}
	left := &effort{}
	options := append(functions(left), expr.Env(environment), expr.AsBool(), expr.MaxNodes(maxNodes),
		expr.DisableIfOperator(), expr.DisableAllBuiltins())
	for _, name := range overElements {
		options = append(options, expr.EnableBuiltin(name))
	}
	if _, err := expr.Compile(text, append(options, expr.Patch(&rules))...); err != nil {
		return nil, whereError(text, err)
	}
	if rules.err != nil {
		return nil, whereError(text, rules.err)
	}
	program, err := expr.Compile(text, append(options, expr.Patch(cautious{}))...)
	if err != nil {
		return nil, whereError(text, err)
	}
	return &where{
		program: program, value: rules.value, env: map[string]any{}, effort: left,
		machine: vm.VM{MemoryBudget: memoryBudget},
	}, nil
}

// environment is what expressions can name.
var environment = types.Map{
	"key": types.String, "value": types.Any, "version": types.Int, "ttl": types.Any, "type": types.String,
	"size": types.Int,
}

// holds reports whether the expression is surely true of an item at a time in Unix milliseconds. What ends in an error
// is not.
func (w *where) holds(it *kv.Item, nowMS int64) bool {
	env := w.env
	env["key"], env["size"] = string(it.Key), len(it.Value.Data)
	env["version"] = int(it.Version) //nolint:gosec // versions are far below 2^63
	env["type"] = string(it.Value.Type())
	env["ttl"] = nil
	if it.Deadline != 0 {
		env["ttl"] = float64(it.Deadline-nowMS) / 1000
	}
	env["value"] = nil
	if w.value {
		env["value"] = valueOf(&it.Value)
	}
	w.effort.begin(len(it.Value.Data))
	result, err := w.machine.Run(w.program, env)
	return err == nil && result == true
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

// rules refuses what would cost more than the item is long, and sees whether the value is looked at.
type rules struct {
	value bool
	long  int // see maxLong
	err   error
}

func (r *rules) isLong(n ast.Node) {
	if r.long++; r.long > maxLong {
		r.refuse(n, fmt.Sprintf("more than %d functions over elements and patterns", maxLong))
	}
}

// Visit implements ast.Visitor. It is called for a node's children first.
func (r *rules) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if r.value = r.value || n.Value == "value"; n.Value == "$env" {
			r.refuse(n, "there is no $env")
		}
	case *ast.BinaryNode:
		if n.Operator == ".." {
			break // judged with what it is part of
		}
		if isRange(n.Left) || n.Operator != "in" && isRange(n.Right) {
			r.refuse(n, "a range has its place behind in only")
		}
		if n.Operator == "matches" {
			r.isLong(n)
			pattern, constant := n.Right.(*ast.StringNode)
			if !constant {
				r.refuse(n, "the pattern of matches must be written out")
			} else if tooWide(pattern.Value, maxMatchSteps) {
				r.refuse(n, widePattern(maxMatchSteps))
			}
		}
		if n.Operator == "**" || n.Operator == "^" {
			r.refuse(n, "there is no operator "+n.Operator)
		}
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); !ok || called[name.Value] == nil {
			r.refuse(n, "there is no such function")
		}
		r.noRanges(n, n.Arguments...)
	case *ast.BuiltinNode:
		r.isLong(n)
		for _, a := range n.Arguments {
			if p, ok := a.(*ast.PredicateNode); ok && containsPredicate(p) {
				r.refuse(n, n.Name+" within another one of its kind")
			}
		}
		r.noRanges(n, n.Arguments...)
	case *ast.VariableDeclaratorNode:
		r.refuse(n, "there are no variables")
	case *ast.SequenceNode:
		r.refuse(n, "it must be one expression")
	case *ast.ArrayNode:
		r.noRanges(n, n.Nodes...)
	case *ast.ConditionalNode:
		r.noRanges(n, n.Cond, n.Exp1, n.Exp2)
	}
}

func (r *rules) noRanges(at ast.Node, nodes ...ast.Node) {
	for _, n := range nodes {
		if isRange(n) {
			r.refuse(at, "a range has its place behind in only")
		}
	}
}

func (r *rules) refuse(at ast.Node, why string) {
	if r.err == nil {
		r.err = &file.Error{Location: at.Location(), Message: why}
	}
}

func isRange(n ast.Node) bool {
	b, ok := n.(*ast.BinaryNode)
	return ok && b.Operator == ".."
}

// containsPredicate reports whether a predicate holds another one: that would cost the square of the item's length.
func containsPredicate(p *ast.PredicateNode) bool {
	found := predicates(0)
	ast.Walk(&p.Node, &found)
	return found > 0
}

// predicates counts them.
type predicates int

// Visit implements ast.Visitor.
func (c *predicates) Visit(node *ast.Node) {
	if _, ok := (*node).(*ast.PredicateNode); ok {
		*c++
	}
}

// cautious replaces every operator by a function that is never surprised by what it is given: a comparison
// that cannot be made is unknown. An expression is true when it is true whatever the unknown ones are; since they
// are joined by and, or and not only, it is enough to take them for false, and below an odd number of nots for
// true (Kleene's logic of three values).
type cautious struct{}

// Visit implements ast.Visitor. It is called for a node's children first.
func (cautious) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			truth(&n.Node)
			ast.Walk(&n.Node, opposite{})
		}
		if n.Operator == "-" {
			call(node, "minus", &ast.IntegerNode{}, n.Node)
		}
	case *ast.ConditionalNode:
		truth(&n.Cond)
	case *ast.BuiltinNode:
		for _, a := range n.Arguments {
			if p, ok := a.(*ast.PredicateNode); ok && n.Name != "map" {
				truth(&p.Node)
			}
		}
		if n.Name == "none" {
			for i := range n.Arguments {
				ast.Walk(&n.Arguments[i], opposite{})
			}
		}
	case *ast.BinaryNode:
		visitBinary(node, n)
	case *ast.MemberNode:
		call(node, "member", n.Node, n.Property)
	}
}

func visitBinary(node *ast.Node, n *ast.BinaryNode) {
	name, ok := operators[n.Operator]
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	switch {
	case n.Operator == "and" || n.Operator == "&&" || n.Operator == "or" || n.Operator == "||":
		truth(&n.Left)
		truth(&n.Right)
	case !ok || (leftNil || rightNil) && (name == "equal" || name == "unequal"):
		// Whether something is there at all is never unknown.
	case name == "in" && isRange(n.Right):
		r := n.Right.(*ast.BinaryNode)
		call(node, "between", n.Left, r.Left, r.Right)
	case name == "matches":
		// What does not compile was refused before.
		re, _ := regexp.Compile(n.Right.(*ast.StringNode).Value)
		call(node, name, n.Left, &ast.ConstantNode{Value: re})
	default:
		call(node, name, n.Left, n.Right)
	}
}

// truth makes a condition of what may be any value, or nothing.
func truth(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BoolNode, *ast.UnaryNode, *ast.BinaryNode:
		return
	case *ast.BuiltinNode:
		if n.Name != "find" {
			return
		}
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			if name := strings.TrimSuffix(id.Value, otherwise); comparisons[strings.TrimPrefix(name, hidden)] != nil {
				return
			}
		}
	}
	call(node, "true", *node)
}

// call puts the call of a function in the place of a node.
func call(node *ast.Node, function string, arguments ...ast.Node) {
	ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: hidden + function}, Arguments: arguments})
}

// opposite takes the unknown for the other thing.
type opposite struct{}

// Visit implements ast.Visitor.
func (opposite) Visit(node *ast.Node) {
	c, ok := (*node).(*ast.CallNode)
	if !ok {
		return
	}
	if id, ok := c.Callee.(*ast.IdentifierNode); ok {
		switch name, other := strings.CutSuffix(id.Value, otherwise); {
		case other:
			id.Value = name
		case comparisons[strings.TrimPrefix(name, hidden)] != nil:
			id.Value = name + otherwise
		}
	}
}

const (
	hidden    = "·"  // begins the names of functions that no client can call
	otherwise = "·t" // ends the name of one that takes the unknown for true
)

// overElements are the functions of the library that look at each element of an array.
var overElements = []string{"all", "any", "none", "one", "count", "filter", "map", "find"}

var errEffort = errors.New("it takes too long")

// functions makes all functions known to the compiler. What they do is taken from left.
func functions(left *effort) (options []expr.Option) {
	pays := func(name string) func(p []any) bool {
		cost := costs[name]
		return func(p []any) bool { return cost == nil || left.spend(cost(p)) }
	}
	for name, f := range comparisons {
		paid := pays(name)
		for _, unknown := range []bool{false, true} {
			full := hidden + name
			if unknown {
				full += otherwise
			}
			options = append(options, expr.Function(full, func(p ...any) (any, error) {
				if !paid(p) {
					return nil, errEffort
				}
				if is, sure := f(p); sure {
					return is, nil
				}
				return unknown, nil
			}, new(func(...any) bool)))
		}
	}
	for name, f := range calculations {
		paid := pays(name)
		options = append(options, expr.Function(hidden+name, func(p ...any) (any, error) {
			if !paid(p) {
				return nil, errEffort
			}
			return f(p[0], p[1]), nil
		}, new(func(any, any) any)))
	}
	for name, f := range called {
		paid := pays(name)
		options = append(options, expr.Function(name, func(p ...any) (any, error) {
			if len(p) != 1 {
				return nil, fmt.Errorf("%s takes one argument", name)
			}
			if !paid(p) {
				return nil, errEffort
			}
			return f(p[0]), nil
		}, new(func(any) any)))
	}
	return options
}
