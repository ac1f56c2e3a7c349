package resp

import (
	"strings"
)

// commandCommand answers COMMAND.
func commandCommand(h *handler, args [][]byte) {
	h.array(len(h.server.table.all))
	for _, cmd := range h.server.table.all {
		describe(&h.replies, cmd)
	}
}

// commandCountCommand answers COMMAND COUNT.
func commandCountCommand(h *handler, _ [][]byte) { h.integer(int64(len(h.server.table.all))) }

// commandInfoCommand answers COMMAND INFO.
func commandInfoCommand(h *handler, args [][]byte) {
	if len(args) == 2 {
		commandCommand(h, args)
		return
	}
	h.array(len(args) - 2)
	for _, name := range args[2:] {
		if cmd := h.server.table.named(name); cmd != nil {
			describe(&h.replies, cmd)
		} else {
			h.null()
		}
	}
}

// named finds a command by its full name, such as "config|get".
func (t *table) named(name []byte) *command {
	container, rest, found := strings.Cut(string(name), "|")
	cmd := t.lookup([]byte(container))
	if cmd == nil || !found {
		return cmd
	}
	return cmd.sub([]byte(rest))
}

// describe writes a command as COMMAND INFO does.
func describe(r *replies, cmd *command) {
	r.array(10)
	r.bulkText(cmd.fullName())
	r.integer(int64(cmd.arity))
	names := cmd.flagNames()
	r.setOf(len(names))
	for _, name := range names {
		r.status(name)
	}
	r.integer(int64(cmd.first))
	r.integer(int64(cmd.last))
	r.integer(int64(cmd.step))
	categories := cmd.categories()
	r.setOf(len(categories))
	for _, category := range categories {
		r.status(category)
	}
	r.setOf(0) // no hints: the answer of any node is that of the cluster
	keySpecification(r, cmd)
	r.array(len(cmd.subs))
	for _, sub := range cmd.subs {
		describe(r, sub)
	}
}

func (cmd *command) flagNames() (names []string) {
	for _, f := range flagNames {
		if cmd.flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	return names
}

// categories are Redis's ACL categories. There are no access lists here; clients show them.
func (cmd *command) categories() (names []string) {
	switch {
	case cmd.flags&write != 0:
		names = append(names, "@write")
	case cmd.flags&readonly != 0:
		names = append(names, "@read")
	}
	switch cmd.group {
	case "string", "connection":
		names = append(names, "@"+cmd.group)
	case "generic":
		names = append(names, "@keyspace")
	case "transactions":
		names = append(names, "@transaction")
	}
	if cmd.flags&fast != 0 {
		return append(names, "@fast")
	}
	return append(names, "@slow")
}

// keySpecification writes where the keys of a command are.
func keySpecification(r *replies, cmd *command) {
	if cmd.first == 0 {
		r.setOf(0)
		return
	}
	last := cmd.last
	if last > 0 {
		last -= cmd.first // it counts from the first key here
	}
	r.setOf(1)
	r.mapOf(3)
	r.bulkText("flags")
	r.setOf(1)
	if cmd.flags&write != 0 {
		r.status("RW")
	} else {
		r.status("RO")
	}
	r.bulkText("begin_search")
	r.mapOf(2)
	r.bulkText("type")
	r.bulkText("index")
	r.bulkText("spec")
	r.mapOf(1)
	r.bulkText("index")
	r.integer(int64(cmd.first))
	r.bulkText("find_keys")
	r.mapOf(2)
	r.bulkText("type")
	r.bulkText("range")
	r.bulkText("spec")
	r.mapOf(3)
	r.bulkText("lastkey")
	r.integer(int64(last))
	r.bulkText("keystep")
	r.integer(int64(cmd.step))
	r.bulkText("limit")
	r.integer(0)
}

// commandDocsCommand answers COMMAND DOCS, which redis-cli asks for when it connects.
func commandDocsCommand(h *handler, args [][]byte) {
	chosen := h.server.table.all
	if len(args) > 2 {
		chosen = nil
		for _, name := range args[2:] {
			if cmd := h.server.table.named(name); cmd != nil {
				chosen = append(chosen, cmd)
			}
		}
	}
	docs(&h.replies, chosen)
}

func docs(r *replies, chosen []*command) {
	r.mapOf(len(chosen))
	for _, cmd := range chosen {
		r.bulkText(cmd.fullName())
		n := 4
		if cmd.subs != nil {
			n++
		}
		r.mapOf(n)
		for _, pair := range [][2]string{
			{"summary", cmd.summary}, {"since", cmd.since}, {"group", cmd.group}, {"complexity", cmd.complexity},
		} {
			r.bulkText(pair[0])
			r.bulkText(pair[1])
		}
		if cmd.subs != nil {
			r.bulkText("subcommands")
			docs(r, cmd.subs)
		}
	}
}

// commandGetKeysCommand answers COMMAND GETKEYS.
func commandGetKeysCommand(h *handler, args [][]byte) {
	words := args[2:]
	cmd := h.server.table.lookup(words[0])
	if cmd != nil && cmd.subs != nil && len(words) > 1 {
		cmd = cmd.sub(words[1])
	}
	switch {
	case cmd == nil:
		h.fail(&failure{codeError, "Invalid command specified"})
		return
	case cmd.first == 0:
		h.fail(&failure{codeError, "The command has no key arguments"})
		return
	case !cmd.takes(len(words)):
		h.fail(&failure{codeError, "Invalid number of arguments specified for command"})
		return
	}
	first, last, step := cmd.keys(len(words))
	var keys [][]byte
	for i := first; i <= last && i < len(words); i += step {
		keys = append(keys, words[i])
	}
	h.array(len(keys))
	for _, key := range keys {
		h.bulk(key)
	}
}

// helpCommand answers the HELP of a command with several subcommands.
func helpCommand(h *handler, _ [][]byte) {
	container := h.cmd.parent
	h.array(2*len(container.subs) + 1)
	h.status(strings.ToUpper(container.name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, sub := range container.subs {
		h.status(strings.ToUpper(sub.name))
		h.status("    " + sub.summary + ".")
	}
}
