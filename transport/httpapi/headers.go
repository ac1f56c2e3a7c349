package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"pxkv/node/kv"
)

// about is what an answer says in headers about the key it speaks of.
type about struct {
	receipt   kv.Receipt
	version   uint64 // ETag; 0 is none
	modified  int64  // Last-Modified in Unix milliseconds; 0 is none
	deadline  int64  // X-Pxkv-Expires in Unix milliseconds; 0 is none
	stale     bool
	staleness int64 // milliseconds; negative: not known, and no header
}

// describe sets the headers. All their values are cut from one string and stored in one
// array, because two allocations are made where Header.Set would make twelve.
func (x *exchange) describe(a about) {
	var room [128]byte
	var cuts [6]int
	buf, n := room[:0], 0
	cut := func() { cuts[n], n = len(buf), n+1 }

	buf = strconv.AppendUint(buf, uint64(a.receipt.Partition), 10)
	cut()
	buf = strconv.AppendUint(buf, a.receipt.Index, 10)
	cut()
	buf = append(buf, '"')
	buf = strconv.AppendUint(buf, a.version, 10)
	buf = append(buf, '"')
	cut()
	buf = strconv.AppendInt(buf, a.staleness, 10)
	cut()
	if a.modified != 0 {
		buf = time.UnixMilli(a.modified).UTC().AppendFormat(buf, http.TimeFormat)
	}
	cut()

	text := string(buf)
	values := new([6]string)
	from := 0
	for i, to := range cuts[:n] {
		values[i] = text[from:to]
		from = to
	}
	values[5] = a.receipt.Node

	h := x.w.Header()
	h["X-Pxkv-Partition"] = values[0:1:1]
	h["X-Pxkv-Index"] = values[1:2:2]
	h["X-Pxkv-Node"] = values[5:6:6]
	if a.version != 0 {
		h["Etag"] = values[2:3:3]
	}
	if a.stale && a.staleness >= 0 {
		h["X-Pxkv-Staleness-Ms"] = values[3:4:4]
	}
	if a.modified != 0 {
		h["Last-Modified"] = values[4:5:5]
	}
	if a.deadline != 0 {
		h["X-Pxkv-Expires"] = []string{timestamp(a.deadline)}
	}
}
