package resp

import (
	"strings"
)

// commandAll answers COMMAND.
func (c *conn) commandAll(args [][]byte) {
	c.array(len(c.server.table.all))
	for _, cmd := range c.server.table.all {
		c.describe(cmd)
	}
}

// commandCount answers COMMAND COUNT.
func (c *conn) commandCount([][]byte) { c.integer(int64(len(c.server.table.all))) }

// commandInfo answers COMMAND INFO.
func (c *conn) commandInfo(args [][]byte) {
	if len(args) == 2 {
		c.commandAll(args)
		return
	}
	c.array(len(args) - 2)
	for _, name := range args[2:] {
		if cmd := c.server.table.named(name); cmd != nil {
			c.describe(cmd)
		} else {
			c.null()
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
func (c *conn) describe(cmd *command) {
	c.array(10)
	c.bulkText(cmd.fullName())
	c.integer(int64(cmd.arity))
	names := cmd.flagNames()
	c.setOf(len(names))
	for _, name := range names {
		c.status(name)
	}
	c.integer(int64(cmd.first))
	c.integer(int64(cmd.last))
	c.integer(int64(cmd.step))
	categories := cmd.categories()
	c.setOf(len(categories))
	for _, category := range categories {
		c.status(category)
	}
	c.setOf(0) // no hints: the answer of any node is that of the cluster
	c.keySpecification(cmd)
	c.array(len(cmd.subs))
	for _, sub := range cmd.subs {
		c.describe(sub)
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
func (c *conn) keySpecification(cmd *command) {
	if cmd.first == 0 {
		c.setOf(0)
		return
	}
	last := cmd.last
	if last > 0 {
		last -= cmd.first // it counts from the first key here
	}
	c.setOf(1)
	c.mapOf(3)
	c.bulkText("flags")
	c.setOf(1)
	if cmd.flags&write != 0 {
		c.status("RW")
	} else {
		c.status("RO")
	}
	c.bulkText("begin_search")
	c.mapOf(2)
	c.bulkText("type")
	c.bulkText("index")
	c.bulkText("spec")
	c.mapOf(1)
	c.bulkText("index")
	c.integer(int64(cmd.first))
	c.bulkText("find_keys")
	c.mapOf(2)
	c.bulkText("type")
	c.bulkText("range")
	c.bulkText("spec")
	c.mapOf(3)
	c.bulkText("lastkey")
	c.integer(int64(last))
	c.bulkText("keystep")
	c.integer(int64(cmd.step))
	c.bulkText("limit")
	c.integer(0)
}

// commandDocs answers COMMAND DOCS, which redis-cli asks for when it connects.
func (c *conn) commandDocs(args [][]byte) {
	chosen := c.server.table.all
	if len(args) > 2 {
		chosen = nil
		for _, name := range args[2:] {
			if cmd := c.server.table.named(name); cmd != nil {
				chosen = append(chosen, cmd)
			}
		}
	}
	c.docs(chosen)
}

func (c *conn) docs(chosen []*command) {
	c.mapOf(len(chosen))
	for _, cmd := range chosen {
		c.bulkText(cmd.fullName())
		n := 4
		if cmd.subs != nil {
			n++
		}
		c.mapOf(n)
		for _, pair := range [][2]string{{"summary", cmd.summary}, {"since", cmd.since}, {"group", cmd.group}, {"complexity", cmd.complexity}} {
			c.bulkText(pair[0])
			c.bulkText(pair[1])
		}
		if cmd.subs != nil {
			c.bulkText("subcommands")
			c.docs(cmd.subs)
		}
	}
}

// commandGetKeys answers COMMAND GETKEYS.
func (c *conn) commandGetKeys(args [][]byte) {
	words := args[2:]
	cmd := c.server.table.lookup(words[0])
	if cmd != nil && cmd.subs != nil && len(words) > 1 {
		cmd = cmd.sub(words[1])
	}
	switch {
	case cmd == nil:
		c.fail("ERR Invalid command specified")
		return
	case cmd.first == 0:
		c.fail("ERR The command has no key arguments")
		return
	case !cmd.takes(len(words)):
		c.fail("ERR Invalid number of arguments specified for command")
		return
	}
	first, last, step := cmd.keys(len(words))
	var keys [][]byte
	for i := first; i <= last && i < len(words); i += step {
		keys = append(keys, words[i])
	}
	c.array(len(keys))
	for _, key := range keys {
		c.bulk(key)
	}
}

// help answers the HELP of a command with several subcommands.
func (c *conn) help([][]byte) {
	container := c.cmd.parent
	c.array(2*len(container.subs) + 1)
	c.status(strings.ToUpper(container.name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, sub := range container.subs {
		c.status(strings.ToUpper(sub.name))
		c.status("    " + sub.summary + ".")
	}
}
