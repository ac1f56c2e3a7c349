package httpapi

import (
	"net/http"
	"strconv"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

var (
	errNotInteger = &refusal{
		status: http.StatusConflict, text: "Value is not an integer of 64 bits", code: "not_integer",
	}
	errOverflow = &refusal{status: http.StatusConflict,
		text: "Value would be larger or smaller than an integer of 64 bits can be", code: "overflow"}
)

// addRaw answers POST /kv/{key}?incr=N.
func (x *exchange) addRaw() {
	cmd := &kv.Command{Op: kv.OpIncr, Key: x.pathKey()}
	q, err := x.prepare(cmd, paramTimeout|paramIncr)
	switch {
	case err != nil:
	case !q.has(paramIncr):
		err = invalid("Parameter incr is missing: POST adds incr=N to a key's value")
	case x.r.ContentLength != 0:
		err = invalid("POST with incr takes no body")
	}
	var res kv.Result
	if err == nil {
		cmd.Delta = q.incr
		res, err = x.hand(cmd, &q)
	}
	if err != nil {
		x.fail(err)
		return
	}
	buf := borrow()
	*buf = append(*buf, `{"key":`...)
	*buf = jsontext.AppendString(*buf, cmd.Key)
	*buf = append(*buf, `,"value":`...)
	*buf = append(strconv.AppendInt(*buf, res.Number, 10), '}')
	x.sendJSON(http.StatusOK, *buf)
	giveBack(buf)
}

func parseIncr(value string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, invalid("Parameter incr: %s is not an integer of 64 bits", quoted(value))
	}
	return n, nil
}
