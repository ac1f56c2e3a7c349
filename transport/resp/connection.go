package resp

import (
	"fmt"
	"strings"
	"time"

	"pxkv/node/kv"
)

// ping answers PING.
func (c *conn) ping(args [][]byte) {
	switch len(args) {
	case 1:
		c.status("PONG")
	case 2:
		c.bulk(args[1])
	default:
		c.fail(wrongArity("ping"))
	}
}

// echo answers ECHO.
func (c *conn) echo(args [][]byte) { c.bulk(args[1]) }

// time answers TIME with the clock of this node.
func (c *conn) time([][]byte) {
	now := time.Now()
	c.array(2)
	c.bulkText(fmt.Sprint(now.Unix()))
	c.bulkText(fmt.Sprint(now.Nanosecond() / 1000))
}

// quitNow answers QUIT.
func (c *conn) quitNow([][]byte) {
	c.endMulti()
	c.quit = true
	c.ok()
}

// reset answers RESET.
func (c *conn) reset([][]byte) {
	c.endMulti()
	c.name, c.protocol = "", 2
	c.status("RESET")
}

// selectDB answers SELECT. There is one database.
func (c *conn) selectDB(args [][]byte) {
	switch n, ok := kv.ParseInt(args[1]); {
	case !ok:
		c.fail(errNotInteger)
	case n != 0:
		c.fail("ERR DB index is out of range")
	default:
		c.ok()
	}
}

const (
	errWrongPassword = "WRONGPASS invalid username-password pair or user is disabled."
	errNoPassword    = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errClientName    = "ERR Client names cannot contain spaces, newlines or special characters."
)

// auth answers AUTH as a Redis without a password does: the default user needs none.
func (c *conn) auth(args [][]byte) {
	switch {
	case len(args) == 2:
		c.fail(errNoPassword)
	case len(args) > 3:
		c.fail(errSyntax)
	case string(args[1]) != "default":
		c.fail(errWrongPassword)
	default:
		c.ok()
	}
}

// hello answers HELLO, which may change the protocol.
func (c *conn) hello(args [][]byte) {
	protocol, name, rename := c.protocol, "", false
	if len(args) > 1 {
		n, ok := kv.ParseInt(args[1])
		if !ok {
			c.fail("ERR Protocol version is not an integer or out of range")
			return
		}
		if n < 2 || n > 3 {
			c.fail("NOPROTO unsupported protocol version")
			return
		}
		protocol = int(n)
	}
	for i := 2; i < len(args); i++ {
		switch more := len(args) - 1 - i; {
		case is(args[i], "auth") && more >= 2:
			if string(args[i+1]) != "default" {
				c.fail(errWrongPassword)
				return
			}
			i += 2
		case is(args[i], "setname") && more >= 1:
			if i++; !printable(args[i]) {
				c.fail(errClientName)
				return
			}
			name, rename = string(args[i]), true
		default:
			c.fail("ERR Syntax error in HELLO option '" + string(cString(args[i], len(args[i]))) + "'")
			return
		}
	}
	c.protocol = protocol
	if rename {
		c.name = name
	}
	c.mapOf(7)
	c.bulkText("server")
	c.bulkText("redis")
	c.bulkText("version")
	c.bulkText(redisVersion)
	c.bulkText("proto")
	c.integer(int64(protocol))
	c.bulkText("id")
	c.integer(c.id)
	c.bulkText("mode")
	c.bulkText("cluster")
	c.bulkText("role")
	c.bulkText("master")
	c.bulkText("modules")
	c.array(0)
}

// longestClientName bounds what a connection keeps for its client, in bytes.
const longestClientName = 1024

// printable reports whether b may be a client's name.
func printable(b []byte) bool {
	for _, c := range b {
		if c < '!' || c > '~' {
			return false
		}
	}
	return len(b) <= longestClientName
}

// clientSetName answers CLIENT SETNAME.
func (c *conn) clientSetName(args [][]byte) {
	if !printable(args[2]) {
		c.fail(errClientName)
		return
	}
	c.name = string(args[2])
	c.ok()
}

// clientGetName answers CLIENT GETNAME.
func (c *conn) clientGetName([][]byte) {
	if c.name == "" {
		c.null()
		return
	}
	c.bulkText(c.name)
}

// clientID answers CLIENT ID.
func (c *conn) clientID([][]byte) { c.integer(c.id) }

// clientInfo answers CLIENT INFO. Clients look for every field of Redis, so those that mean
// nothing here are there, too.
func (c *conn) clientInfo([][]byte) {
	flags := "N"
	if c.multi != nil {
		flags = "x"
	}
	c.text(fmt.Sprintf("id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=0 flags=%s db=0 sub=0 psub=0 ssub=0 multi=%d qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=0"+
		" rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=client|info user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
		c.id, c.address(), c.net.LocalAddr(), c.name, int(time.Since(c.since).Seconds()), flags, c.multiLength(), c.in.w-c.in.r, len(c.in.buf)-c.in.w, c.protocol, c.library[0], c.library[1]))
}

func (c *conn) multiLength() int {
	if c.multi == nil {
		return -1
	}
	return len(c.multi.commands)
}

// clientSetInfo answers CLIENT SETINFO, which newer client libraries send when they connect.
func (c *conn) clientSetInfo(args [][]byte) {
	which := strings.ToLower(string(cString(args[2], longestName)))
	if which != "lib-name" && which != "lib-ver" {
		c.fail("ERR Unrecognized option '" + which + "'")
		return
	}
	if !printable(args[3]) {
		c.fail("ERR " + which + " cannot contain spaces, newlines or special characters.")
		return
	}
	if which == "lib-name" {
		c.library[0] = string(args[3])
	} else {
		c.library[1] = string(args[3])
	}
	c.ok()
}
