package httpapi

import (
	"bytes"
	"net/http"
	"strconv"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
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
	out := jsontext.Writer{Buf: append(*buf, `{"results":[`...), To: x.w}
	for i := range answers {
		if i > 0 {
			out.Buf = append(out.Buf, ',')
		}
		writeResult(&out, &cmds[i], &answers[i])
		out.Spill()
	}
	out.Buf = append(out.Buf, "]}"...)
	out.Flush()
	*buf = out.Buf
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
	var ops jsontext.Span
	if _, err = jsontext.Document(body, func(name []byte, at jsontext.Span) {
		if string(name) == "ops" {
			ops = at
		}
	}); err != nil {
		return nil, refusalOfJSON(err)
	}
	if ops.End == 0 || body[ops.Begin] != '[' {
		return nil, errNoOps
	}
	return parseOps(body, ops)
}

var errNoOps = invalid(`The body needs a member "ops" that is an array`)

// parseOps decodes the elements of an array that was checked already.
func parseOps(body []byte, ops jsontext.Span) (cmds []kv.Command, err error) {
	err = jsontext.Elements(body, ops, func(begin int) error {
		if len(cmds) == maxBatchOps {
			return invalid("More than %d operations", maxBatchOps)
		}
		cmd, err := parseOp(body, begin)
		if err != nil {
			return ofOp(len(cmds), err)
		}
		cmds = append(cmds, cmd)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return cmds, nil
}

// opMembers are the members of an operation, by where they lie in a body.
type opMembers struct{ op, key, value, ttl, expires, contentType, version jsontext.Span }

// readOpMembers finds the members of the object that begins at body[i].
func readOpMembers(body []byte, i int) (m opMembers, err error) {
	if _, err = jsontext.Members(body, i, func(name []byte, at jsontext.Span) {
		switch string(name) {
		case "op":
			m.op = at
		case "key":
			m.key = at
		case "value":
			m.value = at
		case "ttl":
			m.ttl = at
		case "expires":
			m.expires = at
		case "content_type":
			m.contentType = at
		case "if_version":
			m.version = at
		}
	}); err != nil {
		return m, refusalOfJSON(err)
	}
	return m, nil
}

// parseOp decodes one operation.
func parseOp(body []byte, i int) (cmd kv.Command, err error) {
	if body[i] != '{' {
		return cmd, invalid("it is not an object")
	}
	m, err := readOpMembers(body, i)
	if err != nil {
		return cmd, err
	}
	switch string(m.op.Of(body)) {
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
	if err = setVersion(&cmd, m.version.Of(body)); err == nil {
		err = setValue(&cmd, body, &m)
	}
	if err != nil {
		return cmd, err
	}
	if m.key.End == 0 || body[m.key.Begin] != '"' {
		return cmd, errMissingKey
	}
	var ok bool
	if cmd.Key, ok = jsontext.Unquote(m.key.Of(body), true); !ok {
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

// setValue takes the member "value" and those that say more of it.
func setValue(cmd *kv.Command, body []byte, m *opMembers) (err error) {
	switch cmd.Op {
	case kv.OpPut:
		return setPut(cmd, body, m)
	case kv.OpIncr:
		if m.value.End == 0 {
			cmd.Delta = 1
		} else if cmd.Delta, err = strconv.ParseInt(string(m.value.Of(body)), 10, 64); err != nil {
			return invalid(`the "value" to add is not an integer of 64 bits`)
		}
	default:
		if m.value.End > 0 {
			return invalid(`"value" goes only with "put" and "incr"`)
		}
	}
	switch {
	case m.ttl.End > 0:
		return invalid(`"ttl" goes only with "put"`)
	case m.expires.End > 0:
		return invalid(`"expires" goes only with "put"`)
	case m.contentType.End > 0:
		return invalid(`"content_type" goes only with "put"`)
	}
	return nil
}

// setPut takes what a put writes: the value, its Content-Type, and the key's deadline.
func setPut(cmd *kv.Command, body []byte, m *opMembers) (err error) {
	switch {
	case m.ttl.End > 0 && m.expires.End > 0:
		return invalid(`"ttl" does not go with "expires"`)
	case m.ttl.End > 0:
		cmd.Expiry, err = ttlMember(m.ttl.Of(body))
	case m.expires.End > 0:
		cmd.Expiry, err = expiresMember(m.expires.Of(body))
	}
	if err != nil {
		return err
	}
	var contentType string
	if m.contentType.End > 0 {
		if contentType, err = contentTypeMember(m.contentType.Of(body)); err != nil {
			return err
		}
	}
	if m.value.End == 0 || body[m.value.Begin] == 'n' {
		return errMissingKeyOrValue
	}
	if cmd.Value, err = jsontext.Value(body, m.value); err != nil {
		return refusalOfJSON(err)
	}
	cmd.Value.ContentType = contentType
	return nil
}

// contentTypeMember reads the member "content_type": what may stand in a header of that name.
func contentTypeMember(text []byte) (string, error) {
	if text[0] == '"' {
		inside, ok := jsontext.Unquote(text, false)
		if ok && !bytes.ContainsFunc(inside, func(r rune) bool { return r < ' ' || r > '~' }) {
			return string(bytes.TrimSpace(inside)), nil
		}
	}
	return "", invalid(`"content_type" is no text of printable ASCII`)
}

// writeResult writes what became of one operation.
func writeResult(out *jsontext.Writer, cmd *kv.Command, a *kv.Answer) {
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
	out.Buf = append(out.Buf, `{"status":`...)
	out.Buf = strconv.AppendInt(out.Buf, int64(status), 10)
	switch {
	case r != nil:
		out.Buf = append(out.Buf, ',')
		out.Buf = append(out.Buf, r.appendJSON(nil)[1:]...)
		out.Buf = out.Buf[:len(out.Buf)-1]
	case cmd.Op == kv.OpIncr:
		out.Buf = append(out.Buf, `,"value":`...)
		out.Buf = strconv.AppendInt(out.Buf, a.Result.Number, 10)
	case cmd.Op == kv.OpRead && a.Result.Item != nil:
		out.Buf = append(out.Buf, `,"value":`...)
		out.Value(&a.Result.Item.Value)
	}
	if a.Result.Version != 0 {
		out.Buf = append(out.Buf, `,"version":`...)
		out.Buf = strconv.AppendUint(out.Buf, a.Result.Version, 10)
	}
	if a.Result.Deadline != 0 && r == nil {
		out.Buf = append(out.Buf, `,"expires":"`...)
		out.Buf = append(append(out.Buf, timestamp(a.Result.Deadline)...), '"')
	}
	out.Buf = append(out.Buf, '}')
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
	}
	return errUnknownOutcome
}
