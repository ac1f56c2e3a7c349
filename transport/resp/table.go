package resp

import (
	"strings"

	"pxkv/node/kv"
)

// command is a row of the table of commands.
type command struct {
	name  string
	arity int // words, the name included; negative: at least so many
	flags flags
	// Positions of the keys among the words, 0 for none; last counts from the end when negative.
	first, last, step int
	handle            func(h *handler, args [][]byte)
	subs              []*command // by the second word

	group, since, complexity, summary string

	parent *command
	number int // in the order of the table, for metrics
}

// flags of a command.
type flags uint32

// The first of these are shown by COMMAND, with Redis's meaning.
const (
	write flags = 1 << iota
	readonly
	denyOOM
	fast
	loading
	stale
	noScript
	noAuth
	allowBusy
	skipSlowlog
	admin
	skipMonitor
	noMandatoryKeys
	// alone: it waits for what it needs, so it is carried out after everything before it was
	// settled, and not in a transaction.
	alone
	// inMulti: it is carried out at once also between MULTI and EXEC.
	inMulti
)

var flagNames = []struct {
	flag flags
	name string
}{
	{write, "write"}, {readonly, "readonly"}, {denyOOM, "denyoom"}, {admin, "admin"}, {noScript, "noscript"},
	{loading, "loading"}, {stale, "stale"}, {skipMonitor, "skip_monitor"}, {noMandatoryKeys, "no_mandatory_keys"},
	{skipSlowlog, "skip_slowlog"}, {fast, "fast"}, {noAuth, "no_auth"}, {allowBusy, "allow_busy"},
}

// fullName is the name with that of the container, as in "config|get".
func (cmd *command) fullName() string {
	if cmd.parent != nil {
		return cmd.parent.name + "|" + cmd.name
	}
	return cmd.name
}

// longestName bounds the names that are looked up.
const longestName = 32

// table finds commands by name.
type table struct {
	all     []*command // in the order of the table, without subcommands
	every   []*command // with subcommands; command.number counts here
	byName  map[string]*command
	refused command // stands for what is refused; see handler.refuse
	queued  command // stands for what is kept until EXEC
}

func newTable() *table {
	t := &table{all: commands(), byName: map[string]*command{}}
	t.refused = command{name: "refused", handle: func(h *handler, _ [][]byte) { h.fail(h.refusal) }}
	t.queued = command{name: "queued", handle: func(h *handler, _ [][]byte) { h.status("QUEUED") }}
	add := func(cmd *command) {
		cmd.number = len(t.every)
		t.every = append(t.every, cmd)
	}
	add(&t.refused)
	add(&t.queued)
	for _, cmd := range t.all {
		add(cmd)
		t.byName[cmd.name] = cmd
		if cmd.subs != nil {
			cmd.subs = append(cmd.subs, &command{name: "help", arity: 2, flags: loading | stale, handle: helpCommand,
				group: cmd.group, since: "5.0.0", complexity: "O(1)", summary: "Show helpful text about the " +
					"different subcommands"})
		}
		for _, sub := range cmd.subs {
			sub.parent = cmd
			add(sub)
		}
	}
	return t
}

// lookup finds a name, in whatever case.
func (t *table) lookup(name []byte) *command {
	var lower [longestName]byte
	if len(name) > len(lower) {
		return nil
	}
	for i, b := range name {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	return t.byName[string(lower[:len(name)])]
}

// find returns the command of a request, or what is wrong with its name or number of words.
func (t *table) find(args [][]byte) (cmd *command, fault *failure) {
	if cmd = t.lookup(args[0]); cmd == nil {
		return nil, unknownCommand(args)
	}
	if cmd.subs != nil && len(args) > 1 {
		sub := cmd.sub(args[1])
		if sub == nil {
			return nil, unknownSubcommand(args)
		}
		cmd = sub
	}
	if !cmd.takes(len(args)) || cmd.handle == nil {
		fault = wrongArity(cmd.fullName())
		if cmd.name == "exec" { // as Redis says it
			fault = &failure{codeExecAbort, "Transaction discarded because of: " + fault.text}
		}
		return nil, fault
	}
	return cmd, nil
}

func (cmd *command) sub(name []byte) *command {
	for _, sub := range cmd.subs {
		if strings.EqualFold(sub.name, string(name)) {
			return sub
		}
	}
	return nil
}

// takes reports whether a request may have so many words.
func (cmd *command) takes(words int) bool {
	return words == cmd.arity || cmd.arity < 0 && words >= -cmd.arity
}

// keys returns where the keys stand in a request of so many words: first, first+step, ... to
// last inclusive. There are none when first is 0.
func (cmd *command) keys(words int) (first, last, step int) {
	last = cmd.last
	if last < 0 {
		last += words
	}
	return cmd.first, last, max(cmd.step, 1)
}

// checkKeys returns what is wrong with a key, or nil.
func (cmd *command) checkKeys(args [][]byte) *failure {
	if cmd.first == 0 {
		return nil
	}
	first, last, step := cmd.keys(len(args))
	for i := first; i <= last && i < len(args); i += step {
		if n := len(args[i]); n == 0 || n > kv.MaxKeyBytes {
			return &failure{codeError, kv.ValidateKey(args[i]).Error()}
		}
	}
	return nil
}
