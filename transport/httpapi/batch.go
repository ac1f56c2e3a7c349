package httpapi

import (
	"net/http"
	"strconv"
	"unicode/utf8"

	"pxkv/node/kv"
)

const (
	// maxBatchOps is how many operations a batch may have.
	maxBatchOps = 1000
	// maxBatchBytes bounds a batch's body, so that all its writes of one partition fit one entry.
	maxBatchBytes = 12 << 20
)

// postBatch answers POST /batch.
func (x *exchange) postBatch() {
	q, cmds, err := x.readBatch()
	if err != nil {
		x.fail(err)
		return
	}
	x.writing = true
	answers := x.server.service.Batch(x.withDeadline(x.timeout(q.timeout)), cmds)
	if len(answers) != len(cmds) {
		x.fail(errUnknownOutcome)
		return
	}
	x.w.Header()["Content-Type"] = typeJSON
	x.sendHeader(http.StatusOK)
	buf := borrow()
	p := pairWriter{buf: append(*buf, `{"results":[`...), w: x.w}
	for i := range answers {
		if i > 0 {
			p.buf = append(p.buf, ',')
		}
		p.result(&cmds[i], &answers[i])
		p.spill()
	}
	p.buf = append(p.buf, "]}"...)
	p.flush()
	*buf = p.buf
	giveBack(buf)
}

func (x *exchange) readBatch() (q query, cmds []kv.Command, err error) {
	if q, err = parseQuery(x.r.URL.RawQuery, paramTimeout); err != nil {
		return q, nil, err
	}
	cond, err := writeCondition(x.r.Header, kv.OpPut)
	if err == nil && cond.Kind != kv.CondNone {
		err = invalid(`A condition on a batch: give its operations "if_version"`)
	}
	if err != nil {
		return q, nil, err
	}
	body, err := x.readBody(min(maxBatchBytes, x.server.opt.jsonBodyLimit()))
	if err != nil {
		return q, nil, err
	}
	if !utf8.Valid(body) {
		return q, nil, errInvalidJSON
	}
	cmds, err = parseBatch(body)
	for i := range cmds {
		if err == nil {
			err = ofOp(i, cmds[i].Validate(x.server.opt.MaxValueBytes))
		}
	}
	return q, cmds, err
}

// ofOp says in an error's text which operation it is about.
func ofOp(i int, err error) error {
	if err == nil {
		return nil
	}
	r := *refusalOf(err, false)
	r.text = "Operation " + strconv.Itoa(i) + ": " + r.text
	if r.code == "" {
		r.code = "invalid"
	}
	return &r
}

// parseBatch decodes {"ops":[...]}. Unknown members are ignored, as in the body of a pair.
func parseBatch(body []byte) (cmds []kv.Command, err error) {
	i := skipSpace(body, 0)
	if i >= len(body) || body[i] != '{' {
		if err := wholeValue(body, i); err != nil {
			return nil, jsonError(err)
		}
		return nil, errNoOps
	}
	var ops span
	end, err := eachMember(body, i, func(name string, at span) error {
		if name == "ops" {
			ops = at
		}
		return nil
	})
	if err == nil {
		err = onlySpace(body, end)
	}
	if err != nil {
		return nil, jsonError(err)
	}
	if ops.end == 0 || body[ops.begin] != '[' {
		return nil, errNoOps
	}
	return parseOps(body, ops)
}

var errNoOps = invalid(`The body needs a member "ops" that is an array`)

func jsonError(err error) error {
	if err == errSyntax {
		return errInvalidJSON
	}
	return err
}

// parseOps decodes the elements of an array that was checked already.
func parseOps(body []byte, ops span) (cmds []kv.Command, err error) {
	i := skipSpace(body, ops.begin+1)
	for body[i] != ']' {
		if len(cmds) == maxBatchOps {
			return nil, invalid("More than %d operations", maxBatchOps)
		}
		// What follows is taken apart before the operation is decoded, which changes its bytes.
		end, _, err := skipValue(body, i)
		if err != nil {
			return nil, jsonError(err)
		}
		next := skipSpace(body, end)
		if body[next] == ',' {
			next = skipSpace(body, next+1)
		}
		cmd, err := parseOp(body, i)
		if err != nil {
			return nil, ofOp(len(cmds), err)
		}
		cmds = append(cmds, cmd)
		i = next
	}
	return cmds, nil
}

// parseOp decodes one operation.
func parseOp(body []byte, i int) (cmd kv.Command, err error) {
	if body[i] != '{' {
		return cmd, invalid("it is not an object")
	}
	var op, key, value, ttl, version span
	if _, err = eachMember(body, i, func(name string, at span) error {
		switch name {
		case "op":
			op = at
		case "key":
			key = at
		case "value":
			value = at
		case "ttl":
			ttl = at
		case "if_version":
			version = at
		}
		return nil
	}); err != nil {
		return cmd, jsonError(err)
	}
	switch string(body[op.begin:op.end]) {
	case `"put"`:
		cmd.Op, cmd.Blind = kv.OpPut, true
	case `"get"`:
		cmd.Op = kv.OpRead
	case `"delete"`:
		cmd.Op = kv.OpDelete
	case `"incr"`:
		cmd.Op = kv.OpIncr
	default:
		return cmd, invalid(`its "op" is not "put", "get", "delete" or "incr"`)
	}
	if err = setVersion(&cmd, body[version.begin:version.end]); err == nil {
		err = setValue(&cmd, body, value, ttl)
	}
	if err != nil {
		return cmd, err
	}
	if key.end == 0 || body[key.begin] != '"' {
		return cmd, errMissingKey
	}
	var ok bool
	if cmd.Key, ok = unquote(body[key.begin:key.end], true); !ok {
		return cmd, invalid("its key holds half a surrogate pair, which is not text")
	}
	return cmd, nil
}

// setVersion takes the member "if_version": 0 is that the key does not exist.
func setVersion(cmd *kv.Command, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	switch {
	case err != nil:
		return invalid(`its "if_version" is not a version`)
	case cmd.Op == kv.OpRead:
		return invalid(`"if_version" does not go with "get"`)
	case n == 0:
		cmd.Cond = kv.Condition{Kind: kv.CondAbsent}
	default:
		cmd.Cond = kv.Condition{Kind: kv.CondVersion, Version: n}
	}
	cmd.Blind = false
	return nil
}

// setValue takes the members "value" and "ttl".
func setValue(cmd *kv.Command, body []byte, value, ttl span) (err error) {
	switch cmd.Op {
	case kv.OpPut:
		if ttl.end > 0 {
			if cmd.Expiry, err = ttlMember(body[ttl.begin:ttl.end]); err != nil {
				return err
			}
			ttl = span{}
		}
		if value.end == 0 || body[value.begin] == 'n' {
			return errMissingKeyOrValue
		}
		cmd.Value, err = valueOf(body, value)
	case kv.OpIncr:
		if value.end == 0 {
			cmd.Delta = 1
		} else if cmd.Delta, err = strconv.ParseInt(string(body[value.begin:value.end]), 10, 64); err != nil {
			return invalid(`the "value" to add is not an integer of 64 bits`)
		}
	default:
		if value.end > 0 {
			return invalid(`"value" goes only with "put" and "incr"`)
		}
	}
	if ttl.end > 0 {
		return invalid(`"ttl" goes only with "put"`)
	}
	return err
}

// result writes what became of one operation.
func (p *pairWriter) result(cmd *kv.Command, a *kv.Answer) {
	var r *refusal
	if a.Err != nil {
		r = refusalOf(a.Err, cmd.Op != kv.OpRead)
	} else {
		r = refusalOfOutcome(a.Result.Outcome)
	}
	status := http.StatusOK
	if r != nil {
		status = r.status
	}
	p.buf = append(p.buf, `{"status":`...)
	p.buf = strconv.AppendInt(p.buf, int64(status), 10)
	switch {
	case r != nil:
		p.buf = append(p.buf, ',')
		p.buf = append(p.buf, r.appendJSON(nil)[1:]...)
		p.buf = p.buf[:len(p.buf)-1]
	case cmd.Op == kv.OpIncr:
		p.buf = append(p.buf, `,"value":`...)
		p.buf = strconv.AppendInt(p.buf, a.Result.Number, 10)
	case cmd.Op == kv.OpRead && a.Result.Item != nil:
		p.buf = append(p.buf, `,"value":`...)
		p.value(&a.Result.Item.Value)
	}
	if a.Result.Version != 0 {
		p.buf = append(p.buf, `,"version":`...)
		p.buf = strconv.AppendUint(p.buf, a.Result.Version, 10)
	}
	if a.Result.Deadline != 0 && r == nil {
		p.buf = append(p.buf, `,"expires":"`...)
		p.buf = append(append(p.buf, expires(a.Result.Deadline)...), '"')
	}
	p.buf = append(p.buf, '}')
}

// refusalOfOutcome is how a command that was decided did not succeed, nil when it did.
func refusalOfOutcome(o kv.Outcome) *refusal {
	switch o {
	case kv.Done:
		return nil
	case kv.NotFound:
		return errKeyNotFound
	case kv.ConditionFailed:
		return errCondition
	case kv.NotInteger:
		return errNotInteger
	case kv.Overflow:
		return errOverflow
	case kv.ValueTooLarge:
		return errAnswerTooLarge
	}
	return errUnknownOutcome
}

var errAnswerTooLarge = &refusal{status: http.StatusRequestEntityTooLarge, text: "The values that the batch asks for are too long together", code: "too_large"}
