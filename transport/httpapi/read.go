package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"pxkv/node/kv"
	"pxkv/transport/http1"
	"pxkv/transport/jsontext"
)

// largePair is the value size in bytes from which a JSON answer is sent while it is made.
const largePair = http1.LongAnswer

// getCollection answers GET /kv: one pair, pairs to match, or a list.
func (x *exchange) getCollection() {
	q, err := parseQuery(x.r.URL.RawQuery, paramsOfOneRead|paramsOfList)
	switch {
	case err != nil:
	case q.has(paramKey):
		x.op = opGet
		if err = q.only(paramsOfOneRead&^paramMatch, "key"); err == nil {
			err = x.getPair(&q)
		}
	case q.has(paramMatch):
		x.op = opMatch
		if err = q.only(paramsOfOneRead, "a pair to match"); err == nil {
			err = x.getMatches(&q)
		}
	default:
		if err = q.only(paramsOfList, "a list: it needs key"); err == nil {
			err = x.list(&q)
		}
	}
	if err != nil {
		x.fail(err)
	}
}

// read reads one key and sets the headers about it. It reports false after it answered
// 304 itself.
func (x *exchange) read(key []byte, q *query) (res kv.ReadResult, ok bool, err error) {
	switch {
	case len(key) == 0:
		return res, false, errMissingKey
	case len(key) > kv.MaxKeyBytes:
		return res, false, kv.ValidateKey(key)
	}
	res, err = x.server.service.Read(x.withDeadline(x.timeout(q.timeout)), key, q.read)
	if err != nil {
		return res, false, err
	}
	a := about{receipt: res.Receipt, stale: q.read.Consistency == kv.Stale, staleness: res.StalenessMS}
	if !res.Found {
		x.describe(a)
		return res, false, errKeyNotFound
	}
	status, err := readCondition(x.r.Header, res.Item.Version)
	if err != nil {
		return res, false, err
	}
	a.version, a.modified, a.deadline = res.Item.Version, res.Item.Modified, res.Item.Deadline
	x.describe(a)
	switch status {
	case http.StatusPreconditionFailed:
		return res, false, errCondition
	case http.StatusNotModified:
		x.sendHeader(status)
		return res, false, nil
	}
	return res, true, nil
}

// getPair answers GET /kv?key=K.
func (x *exchange) getPair(q *query) error {
	res, ok, err := x.read(q.key, q)
	if ok {
		x.sendPair(q.key, &res.Item.Value)
	}
	return err
}

// sendPair answers {K: V}.
func (x *exchange) sendPair(key []byte, v *kv.Value) {
	buf := borrow()
	out := jsontext.Writer{Buf: *buf}
	large := len(v.Data) > largePair
	if large {
		x.w.Header()["Content-Type"] = typeJSON
		x.sendHeader(http.StatusOK)
		out.To = x.w
	}
	out.Buf = append(out.Buf, '{')
	out.Key(key)
	out.Buf = append(out.Buf, ':')
	out.Value(v)
	out.Buf = append(out.Buf, '}')
	if large {
		out.Flush()
	} else {
		x.sendJSON(http.StatusOK, out.Buf)
	}
	*buf = out.Buf
	giveBack(buf)
}

// getMatches answers GET /kv?name=value: every named key must hold its value, compared as
// text.
func (x *exchange) getMatches(q *query) error {
	if len(q.matches) > 1 && q.has(paramMinIndex) {
		return invalid("Parameter min_index needs a single key: an index belongs to its key's partition")
	}
	for _, m := range q.matches {
		if err := kv.ValidateKey([]byte(m.key)); err != nil {
			return err
		}
	}
	ctx := x.withDeadline(x.timeout(q.timeout))
	if len(q.matches) > 1 && q.read.Consistency == kv.Linearizable {
		return x.matchTogether(ctx, q.matches)
	}
	for _, m := range q.matches {
		res, err := x.server.service.Read(ctx, []byte(m.key), q.read)
		if err != nil {
			return err
		}
		same := res.Found && sameText(&res.Item.Value, m.value)
		if len(q.matches) == 1 {
			a := about{receipt: res.Receipt, stale: q.read.Consistency == kv.Stale, staleness: res.StalenessMS}
			if same {
				a.version, a.deadline = res.Item.Version, res.Item.Deadline
			}
			x.describe(a)
		}
		if !same {
			return errKeyNotFound
		}
	}
	x.sendMatches(q.matches)
	return nil
}

// matchTogether answers about several pairs that are read at once: those of one partition are of
// one moment.
func (x *exchange) matchTogether(ctx context.Context, matches []match) error {
	cmds := make([]kv.Command, len(matches))
	for i, m := range matches {
		cmds[i] = kv.Command{Op: kv.OpRead, Key: []byte(m.key)}
	}
	answers := x.server.service.Batch(ctx, cmds)
	if len(answers) != len(cmds) {
		return kv.Errorf(kv.Internal, "%d answers to %d reads", len(answers), len(cmds))
	}
	for i := range answers {
		switch a := &answers[i]; {
		case a.Err != nil:
			return a.Err
		case a.Result.Item == nil || !sameText(&a.Result.Item.Value, matches[i].value):
			return errKeyNotFound
		}
	}
	x.sendMatches(matches)
	return nil
}

func (x *exchange) sendMatches(matches []match) {
	out := []byte{'{'}
	for i, m := range matches {
		if i > 0 {
			out = append(out, ',')
		}
		out = jsontext.AppendString(out, m.key)
		out = append(out, ':')
		out = jsontext.AppendString(out, m.value)
	}
	x.sendJSON(http.StatusOK, append(out, '}'))
}

// sameText reports whether a value reads like text: a string or bytes by their bytes, JSON
// by its compact text.
func sameText(v *kv.Value, text string) bool {
	if v.Kind == kv.JSON && v.ContentType != "" {
		return string(jsontext.AppendCompact(nil, v.Data)) == text
	}
	return string(v.Data) == text
}

// getRaw answers GET /kv/{key}, and HEAD, which asks for no value.
func (x *exchange) getRaw() {
	q, err := parseQuery(x.r.URL.RawQuery, paramConsistency|paramMinIndex|paramTimeout)
	var res kv.ReadResult
	var ok bool
	if err == nil {
		if x.r.Method == http.MethodHead {
			q.read.Part.Kind = kv.NoValue
		}
		res, ok, err = x.read(x.pathKey(), &q)
	}
	if err != nil {
		x.fail(err)
	}
	if !ok {
		return
	}
	v, h := &res.Item.Value, x.w.Header()
	h["X-Content-Type-Options"] = nosniff
	switch {
	case v.ContentType != "":
		h["Content-Type"] = []string{v.ContentType}
		h["Content-Security-Policy"] = sandbox // a stored page must not act in this origin
	case v.Kind == kv.JSON:
		h["Content-Type"] = typeJSON
	case v.Kind == kv.String:
		h["Content-Type"] = typeText
	default:
		h["Content-Type"] = typeBinary
	}
	if x.r.Method == http.MethodHead {
		h["Content-Length"] = []string{strconv.FormatInt(res.Length, 10)}
	}
	x.send(http.StatusOK, v.Data)
}
