package httpapi

import (
	"net/http"

	"pxkv/node/kv"
)

// largePair is the value size in bytes from which a JSON answer is sent while it is made.
const largePair = 64 << 10

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
func (x *exchange) read(key []byte, q *query) (v kv.Value, ok bool, err error) {
	switch {
	case len(key) == 0:
		return v, false, errMissingKey
	case len(key) > kv.MaxKeyBytes:
		return v, false, kv.ValidateKey(key)
	}
	res, err := x.server.service.Read(x.withDeadline(x.timeout(q.timeout)), key, q.read)
	if err != nil {
		return v, false, err
	}
	a := about{receipt: res.Receipt, stale: q.read.Consistency == kv.Stale, staleness: res.StalenessMS}
	if !res.Found {
		x.describe(a)
		return v, false, errKeyNotFound
	}
	status, err := readCondition(x.r.Header, res.Item.Version)
	if err != nil {
		return v, false, err
	}
	a.version, a.modified, a.deadline = res.Item.Version, res.Item.Modified, res.Item.Deadline
	x.describe(a)
	switch status {
	case http.StatusPreconditionFailed:
		return v, false, errCondition
	case http.StatusNotModified:
		x.sendHeader(status)
		return v, false, nil
	}
	return res.Item.Value, true, nil
}

// getPair answers GET /kv?key=K.
func (x *exchange) getPair(q *query) error {
	v, ok, err := x.read(q.key, q)
	if ok {
		x.sendPair(q.key, &v)
	}
	return err
}

// sendPair answers {K: V}.
func (x *exchange) sendPair(key []byte, v *kv.Value) {
	buf := borrow()
	p := pairWriter{buf: *buf}
	large := len(v.Data) > largePair
	if large {
		x.w.Header()["Content-Type"] = typeJSON
		x.sendHeader(http.StatusOK)
		p.w = x.w
	}
	p.buf = append(p.buf, '{')
	p.key(key)
	p.buf = append(p.buf, ':')
	p.value(v)
	p.buf = append(p.buf, '}')
	if large {
		p.flush()
	} else {
		x.sendJSON(http.StatusOK, p.buf)
	}
	*buf = p.buf
	giveBack(buf)
}

// getMatches answers GET /kv?name=value: every named key must hold its value, compared as
// text.
func (x *exchange) getMatches(q *query) error {
	if len(q.matches) > 1 && q.has(paramMinIndex) {
		return invalid("Parameter min_index needs a single key: an index belongs to its key's partition")
	}
	ctx := x.withDeadline(x.timeout(q.timeout))
	out := []byte{'{'}
	for i, m := range q.matches {
		if err := kv.ValidateKey([]byte(m.key)); err != nil {
			return err
		}
		res, err := x.server.service.Read(ctx, []byte(m.key), q.read)
		if err != nil {
			return err
		}
		if len(q.matches) == 1 {
			a := about{receipt: res.Receipt, stale: q.read.Consistency == kv.Stale, staleness: res.StalenessMS}
			if res.Found && sameText(&res.Item.Value, m.value) {
				a.version, a.deadline = res.Item.Version, res.Item.Deadline
			}
			x.describe(a)
		}
		if !res.Found || !sameText(&res.Item.Value, m.value) {
			return errKeyNotFound
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, m.key)
		out = append(out, ':')
		out = appendString(out, m.value)
	}
	x.sendJSON(http.StatusOK, append(out, '}'))
	return nil
}

// sameText reports whether a value reads like text: a string or bytes by their bytes, JSON
// by its compact text.
func sameText(v *kv.Value, text string) bool {
	if v.Kind == kv.JSON && v.ContentType != "" {
		return string(appendCompact(nil, v.Data)) == text
	}
	return string(v.Data) == text
}

// getRaw answers GET /kv/{key}.
func (x *exchange) getRaw() {
	q, err := parseQuery(x.r.URL.RawQuery, paramConsistency|paramMinIndex|paramTimeout)
	var v kv.Value
	var ok bool
	if err == nil {
		v, ok, err = x.read(x.pathKey(), &q)
	}
	if err != nil {
		x.fail(err)
	}
	if !ok {
		return
	}
	h := x.w.Header()
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
	x.send(http.StatusOK, v.Data)
}
