package match

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
)

// eval is a piece of an expression, ready to be evaluated. It returns text, an int, a float64, a bool, an array, an
// object, or nil for what is not there or not sure.
type eval func(s *scope) any

// compiler makes an eval of a syntax tree, and refuses all that is not known here, or could cost more than the item
// is long. What is allowed is what it has a case for.
type compiler struct {
	long   int  // see maxLong
	inside bool // a function over elements
	err    *file.Error
}

// nothing stands for what was refused.
func nothing(*scope) any { return nil }

func (c *compiler) refuse(at ast.Node, why string, args ...any) eval {
	if c.err == nil {
		c.err = &file.Error{Location: at.Location(), Message: fmt.Sprintf(why, args...)}
	}
	return nothing
}

func (c *compiler) isLong(n ast.Node) {
	if c.long++; c.long > maxLong {
		c.refuse(n, "more than %d functions over elements and patterns", maxLong)
	}
}

func constant(a any) eval { return func(*scope) any { return a } }

// node compiles any part of an expression.
func (c *compiler) node(node ast.Node) eval {
	switch n := node.(type) {
	case *ast.NilNode:
		return nothing
	case *ast.BoolNode:
		return constant(n.Value)
	case *ast.IntegerNode:
		return constant(n.Value)
	case *ast.FloatNode:
		return constant(n.Value)
	case *ast.StringNode:
		return constant(n.Value)
	case *ast.IdentifierNode:
		if name := names[n.Value]; name != nil {
			return name
		}
		return c.refuse(n, "there is no %s", n.Value)
	case *ast.PointerNode:
		if n.Name != "" {
			return c.refuse(n, "there is no #%s", n.Name)
		}
		return func(s *scope) any { return s.element }
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ChainNode:
		return c.node(n.Node)
	case *ast.MemberNode:
		of, name := c.node(n.Node), c.node(n.Property)
		return func(s *scope) any { return member(of(s), name(s)) }
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.CallNode:
		return c.call(n)
	case *ast.BuiltinNode:
		return c.builtin(n)
	case *ast.VariableDeclaratorNode:
		return c.refuse(n, "there are no variables")
	case *ast.SequenceNode:
		return c.refuse(n, "it must be one expression")
	}
	return c.refuse(node, "this is not known here")
}

func (c *compiler) unary(n *ast.UnaryNode) eval {
	of := c.node(n.Node)
	switch n.Operator {
	case "not", "!":
		return func(s *scope) any { return not(of(s)) }
	case "-":
		return func(s *scope) any { return subtract(0, of(s)) }
	case "+":
		return of
	}
	return c.refuse(n, "there is no operator %s", n.Operator)
}

// binary compiles what stands between two operands. Those that are joined by and, or and ?? are evaluated when needed.
func (c *compiler) binary(n *ast.BinaryNode) eval {
	switch n.Operator {
	case "..":
		return c.refuse(n, "a range has its place behind in only")
	case "matches":
		return c.matches(n)
	case "in":
		if r, ok := n.Right.(*ast.BinaryNode); ok && r.Operator == ".." {
			return c.between(n.Left, r)
		}
	}
	left, right := c.node(n.Left), c.node(n.Right)
	switch n.Operator {
	case "and", "&&":
		return func(s *scope) any { return and(left(s), right, s) }
	case "or", "||":
		return func(s *scope) any { return or(left(s), right, s) }
	case "??":
		return func(s *scope) any {
			if a := left(s); a != nil {
				return a
			}
			return right(s)
		}
	case "==", "!=":
		if is := isNil(n, left, right); is != nil {
			return is
		}
	}
	if operate := operators[n.Operator]; operate != nil {
		return func(s *scope) any { return operate(s, left(s), right(s)) }
	}
	return c.refuse(n, "there is no operator %s", n.Operator)
}

// isNil compiles the question whether something is there at all, which is never unsure; nil if it is another one.
func isNil(n *ast.BinaryNode, left, right eval) eval {
	want := n.Operator == "=="
	if _, ok := n.Right.(*ast.NilNode); ok {
		return func(s *scope) any { return (left(s) == nil) == want }
	}
	if _, ok := n.Left.(*ast.NilNode); ok {
		return func(s *scope) any { return (right(s) == nil) == want }
	}
	return nil
}

func (c *compiler) between(of ast.Node, r *ast.BinaryNode) eval {
	value, low, high := c.node(of), c.node(r.Left), c.node(r.Right)
	atLeast, atMost := operators[">="], operators["<="]
	return func(s *scope) any {
		v := value(s)
		return and(atLeast(s, v, low(s)), func(s *scope) any { return atMost(s, v, high(s)) }, s)
	}
}

func (c *compiler) matches(n *ast.BinaryNode) eval {
	c.isLong(n)
	of := c.node(n.Left)
	pattern, written := n.Right.(*ast.StringNode)
	if !written {
		return c.refuse(n, "the pattern of matches must be written out")
	}
	if tooWide(pattern.Value, maxMatchSteps) {
		return c.refuse(n, "%s", widePattern(maxMatchSteps))
	}
	re, err := regexp.Compile(pattern.Value)
	if err != nil {
		return c.refuse(n, "%v", err)
	}
	return func(s *scope) any {
		if text, ok := of(s).(string); ok && s.spend(len(text)) {
			return re.MatchString(text)
		}
		return nil
	}
}

func (c *compiler) slice(n *ast.SliceNode) eval {
	of := c.node(n.Node)
	from, to := constant(0), constant(int(^uint(0)>>1))
	if n.From != nil {
		from = c.node(n.From)
	}
	if n.To != nil {
		to = c.node(n.To)
	}
	return func(s *scope) any { return s.part(of(s), from(s), to(s)) }
}

func (c *compiler) conditional(n *ast.ConditionalNode) eval {
	condition, yes, no := c.node(n.Cond), c.node(n.Exp1), c.node(n.Exp2)
	return func(s *scope) any {
		switch condition(s) {
		case true:
			return yes(s)
		case false:
			return no(s)
		}
		return nil
	}
}

func (c *compiler) array(n *ast.ArrayNode) eval {
	elements := make([]eval, 0, len(n.Nodes))
	for _, e := range n.Nodes {
		elements = append(elements, c.node(e))
	}
	return func(s *scope) any {
		list := make([]any, 0, len(elements))
		for _, e := range elements {
			list = append(list, settled(e(s)))
		}
		return list
	}
}

func (c *compiler) object(n *ast.MapNode) eval {
	members := make(map[string]eval, len(n.Pairs))
	for _, p := range n.Pairs {
		pair, _ := p.(*ast.PairNode)
		name, written := pair.Key.(*ast.StringNode)
		if !written {
			return c.refuse(p, "the name of a member must be written out")
		}
		members[name.Value] = c.node(pair.Value)
	}
	return func(s *scope) any {
		made := make(map[string]any, len(members))
		for name, value := range members {
			made[name] = settled(value(s))
		}
		return made
	}
}

func (c *compiler) call(n *ast.CallNode) eval {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return c.refuse(n, "there is no such function")
	}
	if called[name.Value] == nil || len(n.Arguments) != 1 {
		return c.refuse(n, "there is no function %s of %d arguments", name.Value, len(n.Arguments))
	}
	f, of := called[name.Value], c.node(n.Arguments[0])
	return func(s *scope) any { return f(s, of(s)) }
}

// builtin compiles a function over elements. One within the other would cost the square of the item's length.
func (c *compiler) builtin(n *ast.BuiltinNode) eval {
	f := overElements[n.Name]
	if f == nil || len(n.Arguments) == 0 {
		return c.refuse(n, "there is no function %s", n.Name)
	}
	if c.isLong(n); c.inside {
		return c.refuse(n, "%s within another one of its kind", n.Name)
	}
	of := c.node(n.Arguments[0])
	holds := eval(func(s *scope) any { return s.element }) // of count without a condition
	if len(n.Arguments) > 1 {
		p, ok := n.Arguments[1].(*ast.PredicateNode)
		if !ok {
			return c.refuse(n, "%s needs a condition", n.Name)
		}
		c.inside = true
		holds = c.node(p.Node)
		c.inside = false
	}
	if n.Name != "map" {
		value := holds
		holds = func(s *scope) any { return truth(value(s)) }
	}
	return func(s *scope) any {
		if list, ok := of(s).([]any); ok {
			return f(s, list, holds)
		}
		return nil
	}
}

// truth is what a condition says: nothing when it is no bool.
func truth(a any) any {
	if b, ok := a.(bool); ok {
		return b
	}
	return nil
}

// not, and, or are those of Kleene's logic of three values: unsure is what is true or false in different cases.
func not(a any) any {
	if b, ok := a.(bool); ok || unsureIsFalse {
		return !b
	}
	return nil
}

func and(a any, right eval, s *scope) any {
	if a == false {
		return false
	}
	if b := truth(right(s)); b == false || a == true {
		return b
	}
	return nil
}

func or(a any, right eval, s *scope) any {
	if a == true {
		return true
	}
	if b := truth(right(s)); b == true || a == false {
		return b
	}
	return nil
}

// operators are those that look at both operands always.
var operators = map[string]func(s *scope, a, b any) any{
	"==":         (*scope).equal,
	"!=":         func(s *scope, a, b any) any { return not(s.equal(a, b)) },
	"<":          ordered(func(order int) bool { return order < 0 }),
	"<=":         ordered(func(order int) bool { return order <= 0 }),
	">":          ordered(func(order int) bool { return order > 0 }),
	">=":         ordered(func(order int) bool { return order >= 0 }),
	"in":         (*scope).in,
	"contains":   texts(strings.Contains),
	"startsWith": texts(strings.HasPrefix),
	"endsWith":   texts(strings.HasSuffix),
	"+":          (*scope).plus,
	"-":          func(_ *scope, a, b any) any { return subtract(a, b) },
	"*":          func(_ *scope, a, b any) any { return multiply(a, b) },
	"/":          func(_ *scope, a, b any) any { return divide(a, b) },
	"%":          func(_ *scope, a, b any) any { return modulo(a, b) },
}

// ordered compares; of a span it is sure when it holds, or not, of both of its ends.
func ordered(holds func(order int) bool) func(s *scope, a, b any) any {
	return func(s *scope, a, b any) any {
		lowA, highA := ends(a)
		lowB, highB := ends(b)
		c, ok := s.compare(lowA, highB)
		d, _ := s.compare(highA, lowB)
		if is := holds(c); ok && is == holds(d) {
			return is
		}
		return nil
	}
}

func texts(f func(a, b string) bool) func(s *scope, a, b any) any {
	return func(s *scope, a, b any) any {
		x, okX := a.(string)
		y, okY := b.(string)
		if !okX || !okY || !s.spend(len(x)/bytesPerStep) {
			return nil
		}
		return f(x, y)
	}
}

// plus adds numbers, and puts texts together.
func (s *scope) plus(a, b any) any {
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok && s.spend(len(x)+len(y)) {
			return x + y
		}
		return nil
	}
	return add(a, b)
}
