//go:build processes

package processes

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// redisDoor makes the attempts of a client in the Redis protocol, on one connection to each node.
type redisDoor struct {
	patience time.Duration
	conns    map[string]*redisConn
	swaps    int
}

type redisConn struct {
	net net.Conn
	in  *bufio.Reader
}

func (d *redisDoor) close() {
	for _, c := range d.conns {
		c.net.Close()
	}
}

// attempt carries out an operation and fills in what the answer says. Conditions are on values,
// which are unique; half of the swaps are transactions.
func (d *redisDoor) attempt(through *node, op *operation) (outcome, error) {
	value, expect := strconv.FormatUint(op.value, 10), strconv.FormatUint(op.expect, 10)
	switch op.kind {
	case opGet:
		return d.seen(through, op, "GET", op.key)
	case opPut:
		how, err := d.seen(through, op, "SET", op.key, value, "GET")
		op.applied, op.created, op.seen = how == answered, op.seen == 0, 0
		return how, err
	case opCreate:
		how, err := d.seen(through, op, "SET", op.key, value, "NX", "GET")
		op.applied = how == answered && op.seen == 0
		op.created = op.applied
		return how, err
	case opSwap:
		if d.swaps++; d.swaps%2 == 0 {
			return d.transaction(through, op, value, expect)
		}
		how, err := d.seen(through, op, "SET", op.key, value, "IFEQ", expect, "GET")
		if op.applied = how == answered && op.seen == op.expect; op.applied {
			op.seen = 0
		}
		return how, err
	}
	replies, how, err := d.ask(through, []string{"DEL", op.key})
	op.applied = how == answered && replies[0] == ":1"
	return how, err
}

// transaction swaps by WATCH, GET and EXEC.
func (d *redisDoor) transaction(through *node, op *operation, value, expect string) (outcome, error) {
	replies, how, err := d.ask(through, []string{"UNWATCH"}, []string{"WATCH", op.key}, []string{"GET", op.key})
	if how != answered {
		return how, err
	}
	if replies[2] != `$"`+expect+`"` {
		op.seen, err = seenValue(replies[2])
		return answered, err
	}
	replies, how, err = d.ask(through, []string{"MULTI"}, []string{"SET", op.key, value}, []string{"EXEC"})
	switch {
	case how != answered:
	case replies[2] == "*nil":
		op.hidden = true // somebody has changed it meanwhile
	case replies[2] == "[+OK]":
		op.applied = true
	case strings.HasPrefix(replies[2], "[-OOM "):
		return unavailable, nil
	default:
		return unknown, fmt.Errorf("EXEC was answered with %s", replies[2])
	}
	return how, err
}

// seen makes an attempt that is answered with a value or nil.
func (d *redisDoor) seen(through *node, op *operation, words ...string) (outcome, error) {
	replies, how, err := d.ask(through, words)
	if how == answered {
		op.seen, err = seenValue(replies[0])
	}
	return how, err
}

func seenValue(reply string) (uint64, error) {
	if reply == "$nil" {
		return 0, nil
	}
	return strconv.ParseUint(strings.Trim(reply, `$"`), 10, 64)
}

// ask sends commands in one piece and reads their replies the way the documentation tells clients
// to. After any trouble the next attempt has a new connection.
func (d *redisDoor) ask(through *node, commands ...[]string) ([]string, outcome, error) {
	c := d.conns[through.name]
	if c != nil && c.isOver() {
		c.net.Close()
		c = nil
	}
	if c == nil {
		nc, err := net.DialTimeout("tcp", through.resp, time.Second)
		if err != nil {
			if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
				return nil, refused, nil
			}
			return nil, unknown, nil
		}
		c = &redisConn{nc, bufio.NewReader(nc)}
		d.conns[through.name] = c
	}
	replies, how, err := c.ask(commands, d.patience)
	if how != answered {
		c.net.Close()
		delete(d.conns, through.name)
	}
	return replies, how, err
}

// isOver looks whether the node has closed the connection, as the pools of client libraries do.
func (c *redisConn) isOver() bool {
	raw, err := c.net.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	var n int
	var peeked error
	err = raw.Control(func(fd uintptr) {
		n, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err != nil || peeked == nil && n == 0 || peeked != nil && peeked != syscall.EAGAIN
}

func (c *redisConn) ask(commands [][]string, patience time.Duration) ([]string, outcome, error) {
	_ = c.net.SetDeadline(time.Now().Add(patience))
	if _, err := c.net.Write([]byte(encodeRedis(commands))); err != nil {
		return nil, unknown, nil
	}
	var replies []string
	for range commands {
		reply, err := readRedisReply(c.in)
		switch {
		case err != nil:
			return nil, unknown, nil
		case strings.HasPrefix(reply, "-UNKNOWN "):
			return nil, unknown, nil
		case strings.HasPrefix(reply, "-CLUSTERDOWN "), strings.HasPrefix(reply, "-OOM "):
			return nil, unavailable, nil
		case reply[0] == '-':
			return nil, unknown, fmt.Errorf("%q was answered with %s", commands, reply)
		}
		replies = append(replies, reply)
	}
	return replies, answered, nil
}
