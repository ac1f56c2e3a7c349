// Package match decides which items of a list a client wants: by glob, regular expression, type, and
// by an expression over the item. It is pure: a Filter compiled from the same kv.Filter decides
// alike on every node, and its cost for one item is linear in the item's size.
//
// The expressions are those of expr-lang/expr, with one change of meaning: values are JSON values of
// any shape, so what is not there, or has another type than the other side, makes a comparison neither true
// nor false, as null does in SQL. An item matches when the whole expression is surely true. See where.go.
//
// Nouns: Filter, effort (what an evaluation may cost).
// Callers: node, where the keys are. This package imports node/kv only.
package match
