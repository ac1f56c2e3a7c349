package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"

	"pxkv/node/kv"
	"pxkv/transport/http1"
	"pxkv/transport/jsontext"
)

var errIndexOfSeveral = invalid("Parameter min_index needs a single key: an index belongs to its key's partition")

// largePair is the value size in bytes from which a JSON answer is sent while it is made.
const largePair = http1.LongAnswer

// getCollection answers GET /kv: one pair, pairs to match, or a list.
func (x *exchange) getCollection() {
	q, err := parseQuery(x.r.URL.RawQuery, paramsOfOneRead|paramsOfList)
	switch {
	case err != nil:
	case q.has(paramKey):
		x.op = opGet
		switch err = q.only(paramsOfOneRead&^paramMatch, "key"); {
		case err != nil:
		case len(q.others) > 0:
			err = x.getPairs(&q)
		default:
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

// getPairs answers GET /kv?key=A&key=B with those pairs that are there, in the order in which they were asked for.
func (x *exchange) getPairs(q *query) error {
	if q.has(paramMinIndex) {
		return errIndexOfSeveral
	}
	var keys [][]byte
	for _, key := range append([][]byte{q.key}, q.others...) {
		if err := kv.ValidateKey(key); err != nil {
			return err
		}
		if !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
			keys = append(keys, key)
		}
	}
	items, err := x.readAll(x.withDeadline(x.timeout(q.timeout)), keys, q.read)
	if err != nil {
		return err
	}
	buf := borrow()
	out := listWriter{x: x, pairs: jsontext.Writer{Buf: *buf}}
	for i, it := range items {
		if it != nil {
			it.Key = keys[i]
			out.add(it)
		}
	}
	out.close()
	x.sendJSON(http.StatusOK, out.pairs.Buf)
	*buf = out.pairs.Buf
	giveBack(buf)
	return nil
}

// readAll reads several keys, of which those of one partition are of one moment unless they may be stale. The item of
// a key that is not there is nil.
func (x *exchange) readAll(ctx context.Context, keys [][]byte, opt kv.ReadOptions) ([]*kv.Item, error) {
	items := make([]*kv.Item, len(keys))
	if opt.Consistency != kv.Linearizable {
		for i, key := range keys {
			res, err := x.server.service.Read(ctx, key, opt)
			if err != nil {
				return nil, err
			}
			if res.Found {
				items[i] = &res.Item
			}
		}
		return items, nil
	}
	cmds := make([]kv.Command, len(keys))
	for i, key := range keys {
		cmds[i] = kv.Command{Op: kv.OpRead, Key: key}
	}
	answers := x.server.service.Batch(ctx, cmds)
	if len(answers) != len(cmds) {
		return nil, kv.Errorf(kv.Internal, "%d answers to %d reads", len(answers), len(cmds))
	}
	for i := range answers {
		if answers[i].Err != nil {
			return nil, answers[i].Err
		}
		items[i] = answers[i].Result.Item
	}
	return items, nil
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
		return errIndexOfSeveral
	}
	for _, m := range q.matches {
		if err := kv.ValidateKey([]byte(m.key)); err != nil {
			return err
		}
	}
	ctx := x.withDeadline(x.timeout(q.timeout))
	if len(q.matches) > 1 {
		return x.matchTogether(ctx, q)
	}
	m := q.matches[0]
	res, err := x.server.service.Read(ctx, []byte(m.key), q.read)
	if err != nil {
		return err
	}
	same := res.Found && sameText(&res.Item.Value, m.value)
	a := about{receipt: res.Receipt, stale: q.read.Consistency == kv.Stale, staleness: res.StalenessMS}
	if same {
		a.version, a.deadline = res.Item.Version, res.Item.Deadline
	}
	x.describe(a)
	if !same {
		return errKeyNotFound
	}
	x.sendMatches(q.matches)
	return nil
}

// matchTogether answers about several pairs.
func (x *exchange) matchTogether(ctx context.Context, q *query) error {
	keys := make([][]byte, len(q.matches))
	for i, m := range q.matches {
		keys[i] = []byte(m.key)
	}
	items, err := x.readAll(ctx, keys, q.read)
	if err != nil {
		return err
	}
	for i, it := range items {
		if it == nil || !sameText(&it.Value, q.matches[i].value) {
			return errKeyNotFound
		}
	}
	x.sendMatches(q.matches)
	return nil
}

func (x *exchange) sendMatches(matches []wantedPair) {
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
