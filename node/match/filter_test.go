package match

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pxkv/node/kv"
)

const now = 1_000_000

func item(key, value string) *kv.Item {
	it := &kv.Item{Key: []byte(key), Version: 7, Value: kv.Value{Kind: kv.String, Data: []byte(value)}}
	switch {
	case value == "\xff":
		it.Value.Kind = kv.Binary
	case value != "" && strings.Contains("{[0123456789-tf", value[:1]) && value != "text":
		it.Value.Kind = kv.JSON
	}
	return it
}

func TestWhere(t *testing.T) {
	t.Parallel()
	const ann = `{"name":"ann","age":31,"tags":["x","y"],"at":{"city":"Ulm"},"active":true,"none":null,"big":9007199254740993}`
	for _, c := range []struct {
		where, value string
		want         bool
	}{
		{`value.age > 30`, ann, true},
		{`value.age > 31`, ann, false},
		{`value.age > 30 && key startsWith "user:"`, ann, true},
		{`value.age in 18..31`, ann, true},
		{`value.age in 18..30`, ann, false},
		{`value.age in [30, 31]`, ann, true},
		{`value.age == 31.0`, ann, true},
		{`value.age == "31"`, ann, false},
		{`value.age != "31"`, ann, true},
		{`value.big == 9007199254740993`, ann, true},
		{`value.big == 9007199254740992`, ann, false},
		{`value.at.city == "Ulm"`, ann, true},
		{`value["at"]["city"] == "Ulm"`, ann, true},
		{`value.tags[0] == "x"`, ann, true},
		{`value.tags[-1] == "y"`, ann, true},
		{`"x" in value.tags`, ann, true},
		{`"z" in value.tags`, ann, false},
		{`"z" not in value.tags`, ann, true},
		{`"age" in value`, ann, true},
		{`value.name matches "^a.n$"`, ann, true},
		{`value.name contains "nn"`, ann, true},
		{`value.name endsWith "n"`, ann, true},
		{`upper(value.name) == "ANN"`, ann, true},
		{`len(value.tags) == 2`, ann, true},
		{`any(value.tags, # == "y")`, ann, true},
		{`all(value.tags, # == "y")`, ann, false},
		{`none(value.tags, # == "z")`, ann, true},
		{`count(value.tags, # >= "x") == 2`, ann, true},
		{`value.tags == ["x", "y"]`, ann, true},
		{`value.active`, ann, true},
		{`not value.active`, ann, false},
		{`value.age + 1 == 32 && value.age % 2 == 1 && value.age / 2 == 15.5`, ann, true},
		{`value.name + "a" == "anna"`, ann, true},
		{`value.age > 40 ? false : true`, ann, true},
		{`version == 7 && size > 10 && type == "object" && ttl == nil`, ann, true},
		{`value?.age > 30`, ann, true},
		{`(value.age ?? 0) > 30`, ann, true},

		// What is not there does not match, however it is asked, and spoils nothing else.
		{`(value.height > 1) == nil`, ann, true},
		{`(value.height > 1) == false`, ann, false},
		{`(value.age > 1) == true`, ann, true},
		{`value.height > 1 ? true : true`, ann, false},
		{`((value.height > 1) ?? true) && true`, ann, true},

		// A function of what it cannot be asked of is not there, and spoils nothing either.
		{`len(value.age) > 0 || key == "user:1"`, ann, true},
		{`key == "user:1" || len(value.age) > 0`, ann, true},
		{`len(value.height) > 0 || key == "user:1"`, ann, true},
		{`trim(value.age) == "x" || key == "user:1"`, ann, true},
		{`lower(value.tags) == "x" || key == "user:1"`, ann, true},
		{`abs(value.name) > 1 || key == "user:1"`, ann, true},
		{`number(value.tags) > 1 || key == "user:1"`, ann, true},
		{`string(value.tags) == "x" || key == "user:1"`, ann, true},
		{`value.a.b > 1 || key == "user:1"`, ann, true},
		{`any(value.age, # == 1) || key == "user:1"`, ann, true},
		{`all(value.height, # == 1) || key == "user:1"`, ann, true},
		{`count(value.name) > 0 || key == "user:1"`, ann, true},
		{`map(value.name, #)[0] == 1 || key == "user:1"`, ann, true},
		{`filter(value.at, true) == [] || key == "user:1"`, ann, true},
		{`find(value.at, true) == 1 || key == "user:1"`, ann, true},
		{`value.age[0:1] == "x" || key == "user:1"`, ann, true},
		{`value.tags["a":] == [] || key == "user:1"`, ann, true},
		{`value.name[0:1.5] == "x" || key == "user:1"`, ann, true},
		{`value.name[1:] == "nn" && value.name[:-1] == "an" && value.tags[1:] == ["y"]`, ann, true},
		{`value.name[5:2] == "" && value.name[-99:99] == "ann"`, ann, true},
		{`not any(value.age, # == 1)`, ann, false},
		{`not all(value.height, # == 1)`, ann, false},
		{`none(value.height, # == 1)`, ann, false},
		{`count(value.height, # == 1) == 0`, ann, false},
		{`not (count(value.height, # == 1) > 0)`, ann, false},
		{`-value.age == -31 && +value.age == 31 && -value.name == nil`, ann, true},
		{`9223372036854775807 + 1 > 0 && -9223372036854775807 - 9 < 0 && 9223372036854775807 * 2 > 0`, ann, true},
		{`value.big * 1e308 * 10 == nil && value.age / 2 == 15.5`, ann, true},

		// Elements of which it is not sure are neither counted nor left out.
		{`any(value, # > 1)`, `[null,2]`, true},
		{`any(value, # > 1)`, `[null,1]`, false},
		{`not any(value, # > 1)`, `[null,1]`, false},
		{`not any(value, # > 1)`, `[0,1]`, true},
		{`all(value, # > 1)`, `[null,2]`, false},
		{`not all(value, # > 1)`, `[null,2]`, false},
		{`not all(value, # > 1)`, `[null,1]`, true},
		{`none(value, # > 1)`, `[null,1]`, false},
		{`not none(value, # > 1)`, `[null,2]`, true},
		{`one(value, # > 1)`, `[2,1]`, true},
		{`one(value, # > 1)`, `[2,null]`, false},
		{`not one(value, # > 1)`, `[2,null]`, false},
		{`not one(value, # > 1)`, `[2,3,null]`, true},
		{`not one(value, # > 1)`, `[0,1]`, true},
		{`count(value, # > 1) == 2`, `[2,3,1]`, true},
		{`count(value, # > 1) >= 2`, `[2,3,null]`, true},
		{`count(value, # > 1) >= 3`, `[2,3,null]`, false},
		{`not (count(value, # > 1) >= 3)`, `[2,3,null]`, false},
		{`not (count(value, # > 1) >= 4)`, `[2,3,null]`, true},
		{`count(value, # > 1) == 2`, `[2,3,null]`, false},
		{`count(value, # > 1) != 2`, `[2,3,null]`, false},
		{`count(value, # > 1) != 4`, `[2,3,null]`, true},
		{`count(value, # > 1) in 2..3`, `[2,3,null]`, true},
		{`count(value, # > 1) in 3..9`, `[2,3,null]`, false},
		{`not (count(value, # > 1) in 3..9)`, `[2,3,null]`, false},
		{`not (count(value, # > 1) in 4..9)`, `[2,3,null]`, true},
		{`count(value, # > 1) + 1 > 0`, `[2,3,null]`, false},
		{`count(value) == 2`, `[true,false,true]`, true},
		{`any(value.items, .price > 9)`, `{"items":[{"price":10},{}]}`, true},
		{`(value.tags | count(# == "x")) == 1`, ann, true},
		{`len(value | filter(# > 1) | map(# + 1)) == 2`, `[1,2,3]`, true},
		{`len(value) == nil && trim(value) == nil && any(value, true) == nil`, `3`, true},
		{`len(filter(value, # > 1)) == 2`, `[2,3,null]`, true},
		{`find(value, # > 1) == 3`, `[1,null,3,4]`, true},
		{`find(value, # > 9) == nil`, `[1,null,3,4]`, true},
		{`map(value, # + 1) == [2, nil]`, `[1,null]`, true},
		{`value == {"a": [1, {"b": nil}]}`, `{"a":[1,{"b":null}]}`, true},

		{`value.height > 1`, ann, false},
		{`value.height < 1`, ann, false},
		{`value.height == 1`, ann, false},
		{`value.height != 1`, ann, false},
		{`not (value.height > 1)`, ann, false},
		{`not (value.height == 1)`, ann, false},
		{`not not (value.height == 1)`, ann, false},
		{`not (value.height > 1 && value.age > 40)`, ann, true}, // whatever the height is
		{`not (value.height > 1 || value.age > 30)`, ann, false},
		{`value.height > 1 || value.age > 30`, ann, true},
		{`value.missing || value.age > 30`, ann, true},
		{`not value.missing`, ann, false},
		{`value.a.b.c == 1 || true`, ann, true},
		{`value.a.b.c == nil`, ann, true},
		{`value.none == nil`, ann, true},
		{`value.none != nil`, ann, false},
		{`value.age != nil`, ann, true},
		{`value.height in [1, 2]`, ann, false},
		{`value.height not in [1, 2]`, ann, false},
		{`value.age > "x" || value.name > 3`, ann, false},
		{`not (value.age > "x")`, ann, false},
		{`value.tags[9] == "x"`, ann, false},
		{`value.height + 1 > 0`, ann, false},
		{`value.age / 0 > 0 || value.age % 0 == 0`, ann, false},
		{`len(value.height) == 0`, ann, false},
		{`any(value.height, # == 1)`, ann, false},
		{`any(value.tags, #.deep == 1)`, ann, false},
		{`ttl > 5`, ann, false},
		{`not (ttl > 5)`, ann, false},
		{`value.age`, ann, false},

		{`value == 42`, `42`, true},
		{`value > 41.5`, `42`, true},
		{`value == "42"`, `42`, false},
		{`value.age > 30`, `42`, false},
		{`value`, `true`, true},
		{`value == true`, `true`, true},
		{`value > 1 || value == nil`, `1e400`, true}, // beyond what can be compared, as if it were not there
		{`value == "text" && type == "string"`, `text`, true},
		{`value.age > 30 || key == "user:1"`, `text`, true},
		{`value[0] == 1`, `[1]`, true},
		{`value == nil && type == "binary" && size == 1`, "\xff", true},
		{`value startsWith "a"`, strings.Repeat("a", maxSeen), true},
		{`value startsWith "a"`, strings.Repeat("a", maxSeen+1), false},
		{`value == nil && size > 1000000 && type == "string"`, strings.Repeat("a", maxSeen+1), true},
		{`number(value) > 5`, "text", false},
		{`number(value) > 5 && abs(-3) == 3 && round(2.5) == 3 && string(12) == "12"`, "12.5", true},
	} {
		f, err := Compile(kv.Filter{Where: c.where})
		if err != nil {
			t.Errorf("%s: %v", c.where, err)
			continue
		}
		for range 2 { // nothing is left of the first time
			if got := f.Match(item("user:1", c.value), now); got != c.want {
				t.Errorf("%s of %.100s: %v", c.where, c.value, got)
			}
		}
	}
}

func TestWhereKnowsWhenAnItemIsGone(t *testing.T) {
	t.Parallel()
	it := item("k", "v")
	it.Deadline = now + 1500
	for where, want := range map[string]bool{`ttl == 1.5`: true, `ttl < 1`: false, `ttl != nil`: true} {
		f, err := Compile(kv.Filter{Where: where})
		if err != nil || f.Match(it, now) != want {
			t.Errorf("%s: %v, want %v", where, err, want)
		}
	}
}

// A bad expression is refused with its place; so is what could cost more than an item is long.
func TestBadFilters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ filter, want string }{
		{`value.age >`, `Parameter where: unexpected token EOF at character 11 of 11`},
		{`value.age > 30 &&& x`, `at character 18 of 20`},
		{`value.age ?? 0 > 30`, `Wrap either by parentheses`},
		{`value == 1e400`, `value out of range at character`},
		{`nosuch == 1`, `unknown name nosuch at character 1 of 11`},
		{`ü == 1`, `at character 1 of 6`},
		{`key > 5`, `at character 5 of 7`},
		{`key startsWith 3`, `at character`},
		{`"text"`, `expected bool, but got string at character 1 of 6`},
		{`value.f()`, `there is no such function`},
		{`repeat("x", 1000000) == key`, `there is no function repeat of 2 arguments at character 1 of 27`},
		{`split(key, "") == []`, `there is no function split of 2 arguments at character 1 of 20`},
		{`true && sum(value) > 1`, `there is no function sum at character 9 of 22`},
		{`findIndex(value, # > 1) == 0`, `there is no function findIndex at character 1 of 28`},
		{`findLast(value, # > 1) == 0`, `there is no function findLast at`},
		{`findLastIndex(value, # > 1) == 0`, `there is no function findLastIndex at`},
		{`sortBy(value, #)[0] == 1`, `there is no function sortBy at`},
		{`groupBy(value, #)["a"] == [1]`, `there is no function groupBy at`},
		{`reduce(value, #acc + #) == 1`, `there is no function reduce at`},
		{`value | sum() > 3`, `there is no function sum at`},
		{`int(value) == 1`, `there is no function int of 1 arguments at character 1 of 15`},
		{`trim(key, "x") == "a"`, `at character`},
		{`any(value, #acc == 1)`, `at character`},
		{`any(value, #index == 1)`, `at character`},
		{`b"a" == value`, `this is not known here at character 1 of 13`},
		{`value == {(key): 1}`, `the name of a member must be written out`},
		{`value == {a: 1..3}`, `a range has its place behind in only`},
		{`value ^ 2 == 4`, `there is no operator ^`},
		{`len(1..1000000) > 1`, `a range has its place behind in only`},
		{`any(1..1000000, # > 5)`, `a range has its place`},
		{`[1..1000000] == value`, `a range has its place`},
		{`any(value, any(#, # == 1))`, `any within another one of its kind`},
		{`all(value, count(filter(#, true)) > 1)`, `within another one`},
		{`let a = value; a == 1`, `there are no variables`},
		{`2 ** 3 == 8`, `there is no operator **`},
		{`key matches value`, `the pattern of matches must be written out`},
		{`key matches "["`, `at character`},
		{`$env["value"] == 1`, `there is no $env`},
		{`value matches "a{0,1000}b{0,1000}"`, `the pattern has more than 1024 steps`},
		{strings.Repeat("(", 3000) + "1", `Parameter where: `},
		{strings.Repeat(`key matches "a" && `, 9) + "true", `more than 8 functions over elements and patterns`},
		{strings.Repeat("true && ", 254) + "true", `exceeds maximum allowed nodes`},
		{strings.Repeat(" ", 4097), `Parameter where is longer than 4096 bytes`},
	} {
		_, err := Compile(kv.Filter{Where: c.filter})
		if err == nil || err.Kind != kv.Invalid || !strings.Contains(err.Text, c.want) ||
			!strings.HasPrefix(err.Text, "Parameter where") {
			t.Errorf("%.40s: %v, want %s", c.filter, err, c.want)
		}
	}
	for f, want := range map[kv.Filter]string{
		{Regex: "a("}:                            "Parameter regex: missing closing ): a(",
		{Regex: strings.Repeat("a", 1025)}:       "Parameter regex is longer than 1024 bytes",
		{Type: "int"}:                            `Parameter type: "int" is none of string, json, number, bool, object, array, binary`,
		{Glob: strings.Repeat("a", 4097)}:        "Parameter glob is longer than 4096 bytes",
		{Regex: strings.Repeat("(a{9}){9}", 90)}: "",
		{Regex: strings.Repeat("(a?){1000}", 9)}: "Parameter regex: the pattern has more than 10000 steps " +
			"when its repetitions are written out",
	} {
		_, err := Compile(f)
		if want == "" && err != nil || want != "" && (err == nil || err.Kind != kv.Invalid || err.Text != want) {
			t.Errorf("%.60v: %v, want %s", f, err, want)
		}
	}
}

func TestKeysAndTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f          kv.Filter
		key, value string
		want       bool
	}{
		{kv.Filter{Glob: "user:*"}, "user:1", "x", true},
		{kv.Filter{Glob: "user:[12]"}, "user:3", "x", false},
		{kv.Filter{Glob: "u?er:**"}, "user:1", "x", true},
		{kv.Filter{Regex: "r:[0-9]+$"}, "user:1", "x", true},
		{kv.Filter{Regex: "^r"}, "user:1", "x", false},
		{kv.Filter{Regex: "^r", Glob: "user:*"}, "user:1", "x", false},
		{kv.Filter{Type: "string"}, "k", "text", true},
		{kv.Filter{Type: "string"}, "k", "1", false},
		{kv.Filter{Type: "number"}, "k", "-1", true},
		{kv.Filter{Type: "bool"}, "k", "false", true},
		{kv.Filter{Type: "object"}, "k", "{}", true},
		{kv.Filter{Type: "array"}, "k", "[]", true},
		{kv.Filter{Type: "array"}, "k", "{}", false},
		{kv.Filter{Type: "json"}, "k", "{}", true},
		{kv.Filter{Type: "json"}, "k", "text", false},
		{kv.Filter{Type: "binary"}, "k", "\xff", true},
	} {
		f, err := Compile(c.f)
		if err != nil || f.Match(item(c.key, c.value), now) != c.want {
			t.Errorf("%+v of %q %q: %v, want %v", c.f, c.key, c.value, err, c.want)
		}
	}
	if f, err := Compile(kv.Filter{}); f != nil || err != nil {
		t.Errorf("no filter: %v, %v", f, err)
	}
}

// No expression costs the square of an item's length: it does not match then. One that looks at a long value a few
// times is none of these, nor is a square of few elements.
func TestNoExpressionTakesTheSquareOfALength(t *testing.T) {
	t.Parallel()
	long := `{"xs":[` + strings.Repeat("1,", 1<<17) + `2],"s":"` + strings.Repeat("a", 1<<19) + `"}`
	for where, want := range map[string]bool{
		`all(value.xs, value.xs == value.xs)`:                     false,
		`all(value.xs, value == value)`:                           false,
		`all(value.xs, not (# + 2 in value.xs))`:                  false,
		`all(value.xs, not (value.s contains "b"))`:               false,
		`all(value.xs, not (value.s matches "b$"))`:               false,
		`all(value.xs, value.s + value.s != "x")`:                 false,
		`all(value.xs, len(lower(value.s)) > 1)`:                  false,
		`all(value.xs, value.s <= value.s)`:                       false,
		`map(value.xs, value) == map(value.xs, value)`:            false,
		`len(map(value.xs, value.s + value.s)) > 1`:               false,
		`len(map(value.xs, value.s[1:])) > 1`:                     false,
		`all(value.xs, value.s > "a" && # <= len(value.xs))`:      true,
		`value.xs == value.xs && value == value && 2 in value.xs`: true,
		`value.s + value.s contains "aa" && value.s matches "a$"`: true,
	} {
		f, err := Compile(kv.Filter{Where: where})
		if err != nil || f.Match(item("k", long), now) != want {
			t.Errorf("%s: %v, want %v", where, err, want)
		}
	}
	short := `[` + strings.Repeat("1,", 200) + `2]`
	if f, _ := Compile(kv.Filter{Where: `all(value, # in value)`}); !f.Match(item("k", short), now) {
		t.Error("a short array is not compared with itself")
	}
}

// An expression that is true while members are missing is false for nothing that they could be, however its parts are
// joined.
func TestWhatIsSureStaysSo(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(11, 11))
	pick := func(texts ...string) string { return texts[rng.IntN(len(texts))] }
	atom := func() string {
		left := pick("value.a", "value.b", "value.c", "len(value.t)", "value.t[0]", "value.n + 1")
		return pick(
			left+pick(" > ", " < ", " == ", " != ", " <= ", " >= ")+pick("1", "2", `"x"`, "value.a"),
			left+pick(" in ", " not in ")+pick("[1, 2]", "0..1", "value.t"),
			left+pick(" contains ", " startsWith ", " matches ")+`"x"`,
			pick("any", "all", "none", "one")+"(value.t, # "+
				pick("> 1", "== value.b", "!= value.n", `startsWith "x"`)+")",
			"count(value.t, # "+pick("> 1", "< value.b", "== value.n")+") "+
				pick(">", "<", "==", "!=", ">=")+" "+pick("0", "1", "2"),
			"value.n", "value.b")
	}
	var expression func(depth int) string
	expression = func(depth int) string {
		if depth == 0 {
			return atom()
		}
		a, b := expression(depth-1), expression(depth-1)
		return pick("("+a+" && "+b+")", "("+a+" || "+b+")", "not ("+a+")", "("+a+" ? "+b+" : "+a+")", a)
	}
	const known = `"a":1,"c":"x","t":[1,2,3]`
	completions := []string{`1`, `2`, `0`, `true`, `false`, `"x"`, `"y"`, `[1]`, `{}`, `1.5`}
	sure := 0
	for range 5_000 {
		where := expression(rng.IntN(4))
		f, err := Compile(kv.Filter{Where: where})
		if err != nil {
			continue // its types do not fit, or it is too large
		}
		if !f.Match(item("k", "{"+known+"}"), now) {
			continue
		}
		sure++
		for _, b := range completions {
			for _, n := range completions {
				if it := item("k", `{`+known+`,"b":`+b+`,"n":`+n+`}`); !f.Match(it, now) && !unsureOfTypes(f, it) {
					t.Fatalf("%s is true of {%s}, and false with b=%s, n=%s", where, known, b, n)
				}
			}
		}
	}
	if sure < 500 {
		t.Errorf("only %d expressions were true", sure)
	}
}

// unsureOfTypes reports whether an expression is not sure of an item either way, as of a text that is to be larger
// than a number.
func unsureOfTypes(f *Filter, it *kv.Item) bool {
	s := scope{item: it, nowMS: now}
	s.begin(len(it.Value.Data))
	return f.where(&s) == nil
}

// A filter is compiled once while it is remembered, and what is refused is refused each time.
func TestFiltersAreCompiledOnce(t *testing.T) {
	t.Parallel()
	c := NewCache()
	want := kv.Filter{Where: "value.age > 30", Glob: "u*"}
	first, err := c.Compile(want)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := c.Compile(want); again != first {
		t.Error("compiled again")
	}
	if other, _ := c.Compile(kv.Filter{Where: "value.age > 31", Glob: "u*"}); other == first {
		t.Error("another filter is taken for it")
	}
	for range 2 {
		if f, err := c.Compile(kv.Filter{Where: "value."}); err == nil || f != nil {
			t.Error("a bad filter is not refused")
		}
		if f, err := c.Compile(kv.Filter{}); err != nil || f != nil {
			t.Error("no filter is one")
		}
	}
	for i := range cached {
		if _, err := c.Compile(kv.Filter{Glob: strings.Repeat("x", i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	if again, _ := c.Compile(want); again == first {
		t.Errorf("remembered behind %d others", cached)
	}
}

// What docs/api.md lists is all that there is.
func TestAllFunctionsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := func(begin, end string) (names []string) {
		_, row, ok := strings.Cut(string(text), "| "+begin+" | ")
		if !ok {
			t.Fatalf("docs/api.md has no row %q", begin)
		}
		row, _, _ = strings.Cut(row, end)
		for i, name := range strings.Split(row, "`") {
			if i%2 == 1 {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	if got, want := listed("functions", ", each"), slices.Sorted(maps.Keys(called)); !slices.Equal(got, want) {
		t.Errorf("docs/api.md lists %v, and there are %v", got, want)
	}
	got, want := listed("over the elements of an array", ", as in"), slices.Sorted(maps.Keys(overElements))
	if !slices.Equal(got, want) {
		t.Errorf("docs/api.md lists %v, and there are %v", got, want)
	}
}

// Filters have no state: many goroutines use one.
func TestAFilterServesManyAtOnce(t *testing.T) {
	t.Parallel()
	f, err := Compile(kv.Filter{Where: `any(value, # > 1 && key == "b")`})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, key := range []string{"a", "b", "c", "b"} {
		wg.Go(func() {
			for range 1000 {
				if f.Match(item(key, "[1,2]"), now) != (key == "b") {
					t.Errorf("wrong for %s", key)
					return
				}
			}
		})
	}
	wg.Wait()
}

// FuzzWhere holds that no expression and no value make it panic.
func FuzzWhere(f *testing.F) {
	f.Add(`value.age > 30 || not (value.a[0] in 1..3)`, []byte(`{"age":31,"a":[1]}`))
	f.Add(`any(value, # matches "a") ? ttl == nil : value.x + 1 > len(key)`, []byte(`["a",null]`))
	f.Fuzz(func(t *testing.T, where string, value []byte) {
		c, err := Compile(kv.Filter{Where: where})
		if err != nil {
			if err.Kind != kv.Invalid || !strings.HasPrefix(err.Text, "Parameter where") {
				t.Errorf("%q: %v", where, err)
			}
			return
		}
		if c != nil {
			c.Match(&kv.Item{Key: []byte("k"), Value: kv.RawValue(value, "application/json")}, now)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for name, f := range map[string]kv.Filter{
		"glob": {Glob: "user:*7"}, "type": {Type: "object"}, "key": {Where: `key endsWith "7"`},
		"field": {Where: `value.age > 30`},
	} {
		b.Run(name, func(b *testing.B) {
			c, err := Compile(f)
			if err != nil {
				b.Fatal(err)
			}
			it := item("user:12345", `{"name":"ann","age":31,"tags":["x","y"],"city":"Ulm an der Donau","x":1}`)
			for b.Loop() {
				c.Match(it, now)
			}
		})
	}
}
