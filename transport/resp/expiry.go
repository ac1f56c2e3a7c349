package resp

import (
	"math"
	"strings"
	"time"

	"pxkv/node/kv"
)

// expireCommand answers EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT.
func expireCommand(h *handler, args [][]byte) {
	cond, fault := expireCondition(args[3:])
	if fault != nil {
		h.fail(fault)
		return
	}
	ms, ok := kv.ParseInt(args[2])
	if !ok {
		h.fail(errNotInteger)
		return
	}
	seconds, at := h.cmd.name[0] == 'e', strings.HasSuffix(h.cmd.name, "at")
	tooFar := false
	if seconds {
		tooFar = ms > math.MaxInt64/1000 || ms < math.MinInt64/1000
		ms *= 1000
	}
	if !at {
		tooFar = tooFar || ms > math.MaxInt64-time.Now().UnixMilli()
	}
	if tooFar {
		h.fail(invalidExpire(h.cmd.name))
		return
	}
	expiry := kv.Expiry{Kind: kv.ExpiryIn, MS: ms}
	if at {
		expiry.Kind = kv.ExpiryAt
	}
	h.ask(kv.Command{Op: kv.OpExpire, Key: args[1], Cond: kv.Condition{Kind: cond}, Expiry: expiry})
	h.later(renderDone)
}

// expireCondition reads the options NX, XX, GT and LT.
func expireCondition(words [][]byte) (cond kv.CondKind, fault *failure) {
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
			return 0, &failure{codeError, "Unsupported option " + string(cString(w, len(w)))}
		}
	}
	switch {
	case nx && (xx || gt || lt):
		return 0, &failure{codeError, "NX and XX, GT or LT options at the same time are not compatible"}
	case gt && lt:
		return 0, &failure{codeError, "GT and LT options at the same time are not compatible"}
	case nx:
		return kv.CondNoDeadline, nil
	case gt: // a key without a deadline fails this, so XX adds nothing
		return kv.CondLater, nil
	case xx && lt:
		return kv.CondHasAndEarly, nil
	case lt:
		return kv.CondEarlier, nil
	case xx:
		return kv.CondDeadline, nil
	}
	return kv.CondNone, nil
}

// persistCommand answers PERSIST.
func persistCommand(h *handler, args [][]byte) {
	h.ask(kv.Command{Op: kv.OpExpire, Key: args[1], Cond: kv.Condition{Kind: kv.CondDeadline}})
	h.later(renderDone)
}

// ttlCommand answers TTL, PTTL, EXPIRETIME and PEXPIRETIME.
func ttlCommand(h *handler, args [][]byte) {
	h.look(args[1])
	h.later(renderTTL)
}

func renderTTL(h *handler, w *waiting, answers []kv.Answer) {
	a := &answers[0]
	if a.Err != nil {
		h.failed(a.Err)
		return
	}
	item := a.Result.Item
	switch {
	case item == nil:
		h.integer(-2)
		return
	case item.Deadline == 0:
		h.integer(-1)
		return
	}
	ms := item.Deadline
	if strings.HasSuffix(w.cmd.name, "ttl") {
		ms = max(ms-a.Result.NowMS, 0)
	}
	if w.cmd.name[0] != 'p' {
		ms = (ms + 500) / 1000
	}
	h.integer(ms)
}
