package resp

import (
	"math"
	"strings"
	"time"

	"pxkv/node/kv"
)

// expire answers EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT.
func (c *conn) expire(args [][]byte) {
	cond, fault := expireCondition(args[3:])
	if fault != "" {
		c.fail(fault)
		return
	}
	ms, ok := kv.ParseInt(args[2])
	if !ok {
		c.fail(errNotInteger)
		return
	}
	seconds, at := c.cmd.name[0] == 'e', strings.HasSuffix(c.cmd.name, "at")
	tooFar := false
	if seconds {
		tooFar = ms > math.MaxInt64/1000 || ms < math.MinInt64/1000
		ms *= 1000
	}
	if !at {
		tooFar = tooFar || ms > math.MaxInt64-time.Now().UnixMilli()
	}
	if tooFar {
		c.fail(invalidExpire(c.cmd.name))
		return
	}
	expiry := kv.Expiry{Kind: kv.ExpiryIn, MS: ms}
	if at {
		expiry.Kind = kv.ExpiryAt
	}
	c.ask(kv.Command{Op: kv.OpExpire, Key: args[1], Cond: kv.Condition{Kind: cond}, Expiry: expiry})
	c.later(renderDone)
}

// expireCondition reads the options NX, XX, GT and LT.
func expireCondition(words [][]byte) (cond kv.CondKind, fault string) {
	var nx, xx, gt, lt bool
	for _, w := range words {
		switch {
		case is(w, "nx"):
			nx = true
		case is(w, "xx"):
			xx = true
		case is(w, "gt"):
			gt = true
		case is(w, "lt"):
			lt = true
		default:
			return 0, "ERR Unsupported option " + string(cString(w, len(w)))
		}
	}
	switch {
	case nx && (xx || gt || lt):
		return 0, "ERR NX and XX, GT or LT options at the same time are not compatible"
	case gt && lt:
		return 0, "ERR GT and LT options at the same time are not compatible"
	case nx:
		return kv.CondNoDeadline, ""
	case gt: // a key without a deadline fails this, so XX adds nothing
		return kv.CondLater, ""
	case xx && lt:
		return kv.CondHasAndEarly, ""
	case lt:
		return kv.CondEarlier, ""
	case xx:
		return kv.CondDeadline, ""
	}
	return kv.CondNone, ""
}

// persist answers PERSIST.
func (c *conn) persist(args [][]byte) {
	c.ask(kv.Command{Op: kv.OpExpire, Key: args[1], Cond: kv.Condition{Kind: kv.CondDeadline}})
	c.later(renderDone)
}

// ttl answers TTL, PTTL, EXPIRETIME and PEXPIRETIME.
func (c *conn) ttl(args [][]byte) {
	c.read(args[1])
	c.later(renderTTL)
}

func renderTTL(c *conn, w *waiting, answers []kv.Answer) {
	a := &answers[0]
	if a.Err != nil {
		c.failed(a.Err)
		return
	}
	item := a.Result.Item
	switch {
	case item == nil:
		c.integer(-2)
		return
	case item.Deadline == 0:
		c.integer(-1)
		return
	}
	ms := item.Deadline
	if strings.HasSuffix(w.cmd.name, "ttl") {
		ms = max(ms-a.Result.NowMS, 0)
	}
	if w.cmd.name[0] != 'p' {
		ms = (ms + 500) / 1000
	}
	c.integer(ms)
}
