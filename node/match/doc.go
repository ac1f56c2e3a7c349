// Package match decides which items of a list a client wants: by glob, regular expression, type, and
// by an expression over the item. It is pure: a Filter compiled from the same kv.Filter decides
// alike on every node, and its cost for one item is linear in the item's size.
//
// The expressions are read by expr-lang/expr, and evaluated here (compile.go), with another meaning: values are JSON
// values of any shape, so what is not there, or has another type than the other side, makes a comparison neither true
// nor false, as null does in SQL. Unsure is nil, as what is not there is; and, or, not and the functions over elements
// follow Kleene's logic of three values. An item matches when the whole expression is surely true. Nothing that a value
// holds is an error, so that no part of an expression spoils another one.
//
// What expressions can say is a closed list: compiler.node, operators, called, overElements and names. The rest of the
// library's language is refused with its place.
//
// Nouns: Filter; Cache, of compiled ones; eval, a piece of a compiled expression; scope, one evaluation; effort, what
// an evaluation may cost; span, a number that is not known better.
// Callers: node, where the keys are, and the HTTP door, which refuses a bad filter at once. This package imports
// node/kv only.
package match
