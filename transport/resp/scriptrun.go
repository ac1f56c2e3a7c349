package resp

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"pxkv/node/kv"
)

// scriptTries is how often a script is begun anew because its key was changed meanwhile.
const scriptTries = 8

// scriptRun does what a script would, with operations that each are decided in one step: what is
// done to a key rests on the value or the version that was found there.
type scriptRun struct {
	*handler
	recipe     *recipe
	keys, argv [][]byte
}

func (s *scriptRun) carryOut() {
	for _, key := range s.keys[min(1, len(s.keys)):] {
		if !s.server.samePartition(s.keys[0], key) {
			s.fail(errPartitions)
			return
		}
	}
	switch {
	case len(s.keys) == 0 || s.recipe.each && len(s.keys) > 1:
		s.fail(errScriptKeys)
		return
	case len(s.argv) < s.recipe.argv:
		s.fail(errScriptArgs)
		return
	}
	for range scriptTries {
		if s.try() {
			return
		}
	}
	s.fail(errContended)
}

// try reports whether it has answered; else somebody changed the key in between.
func (s *scriptRun) try() bool {
	key, token := s.keys[0], s.argv[0]
	holds := kv.Condition{Kind: kv.CondValue, Value: token}
	var op kv.Command
	switch s.recipe.does {
	case deletes:
		op = kv.Command{Op: kv.OpDelete, Key: key, Cond: holds}
	case expires, expiresMS, touchesOrSets:
		ms, fault := millis(s.argv[1], s.recipe.does == expires, "pexpire")
		if fault != nil {
			s.fail(fault)
			return true
		}
		op = kv.Command{Op: kv.OpExpire, Key: key, Cond: holds, Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: ms}}
	case sets, acquires, obtains:
		if s.recipe.does != sets {
			holds = kv.Condition{Kind: kv.CondAbsent}
		}
		return s.set(holds)
	default:
		return s.tell()
	}
	res, e := s.one(op)
	switch {
	case e != nil:
		s.failed(e)
	case res.Outcome == kv.Done:
		s.say(s.recipe.done, 1)
	case res.Version != 0:
		s.say(s.recipe.differs, 0)
	case s.recipe.does == touchesOrSets:
		return s.set(kv.Condition{Kind: kv.CondAbsent})
	default:
		s.say(s.recipe.absent, 0)
	}
	return true
}

// set writes the token to the key, with a deadline, on a condition.
func (s *scriptRun) set(cond kv.Condition) bool {
	ms, fault := millis(s.argv[s.recipe.argv-1], false, "set")
	if fault == nil && ms <= 0 {
		fault = invalidExpire("set")
	}
	if fault != nil {
		s.fail(fault)
		return true
	}
	put := kv.Command{
		Op: kv.OpPut, Key: s.keys[0], Value: value(s.argv[0]), Cond: cond,
		Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: ms}, ReturnOld: s.recipe.does == obtains,
	}
	res, e := s.one(put)
	switch {
	case e != nil:
		s.failed(e)
	case res.Outcome == kv.Done:
		s.say(s.recipe.done, 1)
	case s.recipe.does == touchesOrSets:
		return false // it is there by now: whose it is decides
	case s.recipe.does == acquires || s.recipe.does == sets && res.Version != 0:
		s.say(s.recipe.differs, 0)
	case s.recipe.does == sets:
		s.say(s.recipe.absent, 0)
	case res.Item == nil:
		return false
	case !sameBeginning(res.Item.Value.Data, s.argv[0], s.argv[1]):
		s.say(s.recipe.differs, 0)
	default:
		put.Cond, put.ReturnOld = kv.Condition{Kind: kv.CondVersion, Version: res.Item.Version}, false
		switch res, e = s.one(put); {
		case e != nil:
			s.failed(e)
		case res.Outcome != kv.Done:
			return false
		default:
			s.say(s.recipe.done, 1)
		}
	}
	return true
}

// sameBeginning reports whether a value begins as the token does, in the first bytes of which length is
// the number.
func sameBeginning(have, token, length []byte) bool {
	n, err := strconv.Atoi(string(length))
	if err != nil || n < 1 {
		return false
	}
	return bytes.Equal(have[:min(n, len(have))], token[:min(n, len(token))])
}

// tell answers how long the key lives, or adds to that.
func (s *scriptRun) tell() bool {
	key := s.keys[0]
	res, e := s.one(kv.Command{Op: kv.OpRead, Key: key})
	item := res.Item
	switch {
	case e != nil:
		s.failed(e)
		return true
	case item == nil:
		s.say(s.recipe.absent, 0)
		return true
	case !bytes.Equal(item.Value.Data, s.argv[0]):
		s.say(s.recipe.differs, 0)
		return true
	}
	left := int64(-1)
	if item.Deadline != 0 {
		left = max(item.Deadline-res.NowMS, 0)
	}
	switch s.recipe.does {
	case tells:
		if left >= 0 {
			left = (left + 500) / 1000
		}
		s.say(s.recipe.done, left)
		return true
	case tellsMS:
		s.say(s.recipe.done, left)
		return true
	}
	if left < 0 {
		s.integer(0) // there is nothing to add to
		return true
	}
	ms, fault := millis(s.argv[1], false, "pexpire")
	if fault != nil {
		s.fail(fault)
		return true
	}
	expiry := kv.Expiry{Kind: kv.ExpiryIn, MS: ms}
	if s.recipe.does == adds || string(s.argv[2]) == "0" {
		if ms > math.MaxInt64-item.Deadline {
			s.fail(invalidExpire("pexpire"))
			return true
		}
		expiry = kv.Expiry{Kind: kv.ExpiryAt, MS: item.Deadline + ms}
	}
	// A new deadline is a new version: nobody's extension is lost.
	same := kv.Condition{Kind: kv.CondVersion, Version: item.Version}
	done, e := s.one(kv.Command{Op: kv.OpExpire, Key: key, Cond: same, Expiry: expiry})
	switch {
	case e != nil:
		s.failed(e)
	case done.Outcome != kv.Done:
		return false
	default:
		s.say(s.recipe.done, 1)
	}
	return true
}

// failed answers for an operation that has no result. Scripts may write, which their flags, being
// Redis's, do not say.
func (s *scriptRun) failed(e *kv.Error) {
	if e.Kind == kv.Internal {
		e = kv.ErrUnknown()
	}
	s.handler.failed(e)
}

// say writes the answer of a recipe; n is what the command itself would answer.
func (s *scriptRun) say(a answer, n int64) {
	switch a.kind {
	case asNumber:
		s.integer(a.integer)
	case asNull:
		s.null()
	case asOK:
		s.ok()
	default:
		s.integer(n)
	}
}

// millis reads a time to live in milliseconds, or seconds.
func millis(word []byte, seconds bool, command string) (ms int64, fault *failure) {
	ms, ok := kv.ParseInt(word)
	if !ok {
		return 0, errNotInteger
	}
	if seconds {
		if ms > math.MaxInt64/1000 || ms < math.MinInt64/1000 {
			return 0, invalidExpire("expire")
		}
		ms *= 1000
	}
	if ms > math.MaxInt64-time.Now().UnixMilli() {
		return 0, invalidExpire(command)
	}
	return ms, nil
}
