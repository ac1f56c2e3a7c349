package httpapi

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"pxkv/node/kv"
)

// putPair answers PUT /kv. A body that is wrong is reported before a parameter or header
// that is, as the original API knows only bodies.
func (x *exchange) putPair() {
	cmd := &kv.Command{Op: kv.OpPut, Blind: true}
	body, err := x.readBody(x.server.opt.jsonBodyLimit())
	var p pairBody
	if err == nil {
		p, err = parsePairBody(body)
	}
	if err == nil {
		cmd.Key, cmd.Value, cmd.Expiry, err = p.key, p.value, p.expiry, p.checkPut()
	}
	if err == nil {
		err = x.write(cmd)
	}
	if err != nil {
		x.fail(err)
		return
	}
	x.sendPair(cmd.Key, &cmd.Value)
}

// checkPut reports what a decoded body lacks for a put.
func (p *pairBody) checkPut() error {
	switch {
	case len(p.key) == 0 || !p.hasValue:
		return errMissingKeyOrValue
	}
	return p.wrongTTL
}

// deletePair answers DELETE /kv.
func (x *exchange) deletePair() {
	body, err := x.readBody(x.server.opt.jsonBodyLimit())
	var p pairBody
	if err == nil {
		p, err = parsePairBody(body)
	}
	if err == nil {
		err = x.write(&kv.Command{Op: kv.OpDelete, Key: p.key})
	}
	if err != nil {
		x.fail(err)
		return
	}
	x.sendJSON(http.StatusOK, keyDeleted)
}

var keyDeleted = []byte(`{"result":"Key deleted"}`)

// putRaw answers PUT /kv/{key}. Everything that can be refused without the body is, before
// it is read.
func (x *exchange) putRaw() {
	cmd := &kv.Command{Op: kv.OpPut, Key: x.pathKey(), Value: kv.Value{Kind: kv.Binary}}
	if ct := x.r.Header["Content-Type"]; len(ct) > 0 {
		cmd.Value.ContentType = strings.TrimSpace(ct[0])
	}
	q, err := x.prepare(cmd, paramTimeout|paramTTL)
	cmd.Expiry = q.ttl
	var body []byte
	if err == nil {
		body, err = x.readBody(x.server.opt.MaxValueBytes)
	}
	var res kv.Result
	if err == nil {
		cmd.Value = rawValue(body, cmd.Value.ContentType)
		res, err = x.hand(cmd, &q)
	}
	switch {
	case err != nil:
		x.fail(err)
	case res.Created:
		x.send(http.StatusCreated, nil)
	default:
		x.send(http.StatusOK, nil)
	}
}

// rawValue is kv.RawValue, except that JSON must be UTF-8 to count as JSON: its text goes
// into JSON answers as it is.
func rawValue(data []byte, contentType string) kv.Value {
	v := kv.RawValue(data, contentType)
	if v.Kind == kv.JSON && !utf8.Valid(data) {
		v.Kind = kv.Binary
	}
	return v
}

// deleteRaw answers DELETE /kv/{key}.
func (x *exchange) deleteRaw() {
	if err := x.write(&kv.Command{Op: kv.OpDelete, Key: x.pathKey()}); err != nil {
		x.fail(err)
		return
	}
	x.sendJSON(http.StatusOK, keyDeleted)
}

// write checks a command and gives it to the service.
func (x *exchange) write(cmd *kv.Command) error {
	q, err := x.prepare(cmd, paramTimeout)
	if err != nil {
		return err
	}
	_, err = x.hand(cmd, &q)
	return err
}

// prepare checks a command and its request's parameters, and takes the condition from the
// headers. A conditional put is never blind.
func (x *exchange) prepare(cmd *kv.Command, params param) (q query, err error) {
	if len(cmd.Key) == 0 {
		return q, errMissingKey
	}
	if q, err = parseQuery(x.r.URL.RawQuery, params); err != nil {
		return q, err
	}
	if cmd.Cond, err = writeCondition(x.r.Header, cmd.Op); err != nil {
		return q, err
	}
	cmd.Blind = cmd.Blind && cmd.Cond.Kind == kv.CondNone
	return q, cmd.Validate(x.server.opt.MaxValueBytes)
}

// hand gives a checked command to the service and sets the headers about its key. Every
// outcome other than done is an error.
func (x *exchange) hand(cmd *kv.Command, q *query) (kv.Result, error) {
	x.writing = true
	res, err := x.server.service.Write(x.withDeadline(x.timeout(q.timeout)), cmd)
	if err != nil {
		return res, err
	}
	x.describe(about{receipt: res.Receipt, version: res.Version, deadline: res.Deadline})
	if r := refusalOfOutcome(res.Outcome); r != nil {
		return res, r
	}
	return res, nil
}
