package resp

import (
	"fmt"
	"strings"
	"time"

	"pxkv/node/kv"
)

// pingCommand answers PING.
func pingCommand(h *handler, args [][]byte) {
	switch len(args) {
	case 1:
		h.status("PONG")
	case 2:
		h.bulk(args[1])
	default:
		h.fail(wrongArity("ping"))
	}
}

// echoCommand answers ECHO.
func echoCommand(h *handler, args [][]byte) { h.bulk(args[1]) }

// timeCommand answers TIME with the clock of this node.
func timeCommand(h *handler, _ [][]byte) {
	now := time.Now()
	h.array(2)
	h.bulkText(fmt.Sprint(now.Unix()))
	h.bulkText(fmt.Sprint(now.Nanosecond() / 1000))
}

// quitCommand answers QUIT.
func quitCommand(h *handler, _ [][]byte) {
	h.session.endMulti()
	h.session.quit = true
	h.ok()
}

// resetCommand answers RESET.
func resetCommand(h *handler, _ [][]byte) {
	h.session.reset()
	h.protocol = h.session.protocol
	h.status("RESET")
}

// selectCommand answers SELECT. There is one database.
func selectCommand(h *handler, args [][]byte) {
	switch n, ok := kv.ParseInt(args[1]); {
	case !ok:
		h.fail(errNotInteger)
	case n != 0:
		h.fail(&failure{codeError, "DB index is out of range"})
	default:
		h.ok()
	}
}

var (
	errWrongPassword = &failure{codeWrongPass, "invalid username-password pair or user is disabled."}
	errNoPassword    = &failure{codeError, "AUTH <password> called without any password configured for the " +
		"default user. Are you sure your configuration is correct?"}
	errClientName = &failure{codeError, "Client names cannot contain spaces, newlines or special characters."}
)

// authCommand answers AUTH as a Redis without a password does: the default user needs none.
func authCommand(h *handler, args [][]byte) {
	switch {
	case len(args) == 2:
		h.fail(errNoPassword)
	case len(args) > 3:
		h.fail(errSyntax)
	case string(args[1]) != "default":
		h.fail(errWrongPassword)
	default:
		h.ok()
	}
}

// helloCommand answers HELLO, which may change the protocol.
func helloCommand(h *handler, args [][]byte) {
	protocol, name, rename := h.protocol, "", false
	if len(args) > 1 {
		n, ok := kv.ParseInt(args[1])
		if !ok {
			h.fail(&failure{codeError, "Protocol version is not an integer or out of range"})
			return
		}
		if n < 2 || n > 3 {
			h.fail(&failure{codeNoProto, "unsupported protocol version"})
			return
		}
		protocol = int(n)
	}
	for i := 2; i < len(args); i++ {
		switch more := len(args) - 1 - i; {
		case is(args[i], "auth") && more >= 2:
			if string(args[i+1]) != "default" {
				h.fail(errWrongPassword)
				return
			}
			i += 2
		case is(args[i], "setname") && more >= 1:
			if i++; !printable(args[i]) {
				h.fail(errClientName)
				return
			}
			name, rename = string(args[i]), true
		default:
			h.fail(&failure{codeError, "Syntax error in HELLO option '" + string(cString(args[i], len(args[i]))) + "'"})
			return
		}
	}
	h.session.protocol, h.protocol = protocol, protocol
	if rename {
		h.session.name = name
	}
	h.mapOf(7)
	h.bulkText("server")
	h.bulkText("redis")
	h.bulkText("version")
	h.bulkText(redisVersion)
	h.bulkText("proto")
	h.integer(int64(protocol))
	h.bulkText("id")
	h.integer(h.session.id)
	h.bulkText("mode")
	h.bulkText("cluster")
	h.bulkText("role")
	h.bulkText("master")
	h.bulkText("modules")
	h.array(0)
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

// clientSetNameCommand answers CLIENT SETNAME.
func clientSetNameCommand(h *handler, args [][]byte) {
	if !printable(args[2]) {
		h.fail(errClientName)
		return
	}
	h.session.name = string(args[2])
	h.ok()
}

// clientGetNameCommand answers CLIENT GETNAME.
func clientGetNameCommand(h *handler, _ [][]byte) {
	if h.session.name == "" {
		h.null()
		return
	}
	h.bulkText(h.session.name)
}

// clientIDCommand answers CLIENT ID.
func clientIDCommand(h *handler, _ [][]byte) { h.integer(h.session.id) }

// clientInfoCommand answers CLIENT INFO. Clients look for every field of Redis, so those that mean
// nothing here are there, too.
func clientInfoCommand(h *handler, _ [][]byte) {
	flags := "N"
	if h.session.multi != nil {
		flags = "x"
	}
	s, in := h.session, h.in
	h.text(fmt.Sprintf("id=%d addr=%s laddr=%s fd=0 name=%s age=%d idle=0 flags=%s db=0 sub=0 psub=0 ssub=0 multi=%d"+
		" qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r "+
		"cmd=client|info"+
		" user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
		s.id, s.address(), s.local, s.name, int(time.Since(s.since).Seconds()), flags, s.multiLength(),
		in.w-in.r, len(in.buf)-in.w, s.protocol, s.library[0], s.library[1]))
}

// clientSetInfoCommand answers CLIENT SETINFO, which newer client libraries send when they connect.
func clientSetInfoCommand(h *handler, args [][]byte) {
	which := strings.ToLower(string(cString(args[2], longestName)))
	if which != "lib-name" && which != "lib-ver" {
		h.fail(&failure{codeError, "Unrecognized option '" + which + "'"})
		return
	}
	if !printable(args[3]) {
		h.fail(&failure{codeError, which + " cannot contain spaces, newlines or special characters."})
		return
	}
	if which == "lib-name" {
		h.session.library[0] = string(args[3])
	} else {
		h.session.library[1] = string(args[3])
	}
	h.ok()
}
