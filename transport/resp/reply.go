package resp

import (
	"strconv"

	"github.com/tidwall/redcon"
)

// replies are the answers that were not sent yet. Its methods append one, or the head of one, in the
// protocol that the client chose. RESP2 has no maps, sets, nulls or texts of its own: there they are
// arrays, arrays, a bulk of length -1 and bulks.
type replies struct {
	out      []byte
	protocol int     // 2 or 3: the session's, or the one that held when the command came
	end      outcome // of the command that is being answered, by its last failure
}

func (r *replies) ok()               { r.out = redcon.AppendOK(r.out) }
func (r *replies) status(s string)   { r.out = redcon.AppendString(r.out, s) }
func (r *replies) integer(n int64)   { r.out = redcon.AppendInt(r.out, n) }
func (r *replies) bulk(b []byte)     { r.out = redcon.AppendBulk(r.out, b) }
func (r *replies) bulkText(s string) { r.out = redcon.AppendBulkString(r.out, s) }
func (r *replies) array(n int)       { r.out = redcon.AppendArray(r.out, n) }

// fail is the answer to a command that failed.
func (r *replies) fail(f *failure) {
	r.end = codes[f.code].end
	r.out = f.append(r.out)
}

// null is the answer for a value that is not there.
func (r *replies) null() {
	if r.protocol == 3 {
		r.out = append(r.out, "_\r\n"...)
		return
	}
	r.out = redcon.AppendNull(r.out)
}

// nullArray is the answer of EXEC when a watched key has changed.
func (r *replies) nullArray() {
	if r.protocol == 3 {
		r.out = append(r.out, "_\r\n"...)
		return
	}
	r.out = append(r.out, "*-1\r\n"...)
}

// mapOf begins a map of n pairs.
func (r *replies) mapOf(n int) {
	if r.protocol == 3 {
		r.head('%', n)
		return
	}
	r.array(2 * n)
}

// setOf begins a set of n members.
func (r *replies) setOf(n int) {
	if r.protocol == 3 {
		r.head('~', n)
		return
	}
	r.array(n)
}

// text is a bulk that is meant for people.
func (r *replies) text(s string) {
	if r.protocol != 3 {
		r.bulkText(s)
		return
	}
	r.head('=', len(s)+4)
	r.out = append(r.out, "txt:"...)
	r.out = append(r.out, s...)
	r.out = append(r.out, "\r\n"...)
}

func (r *replies) head(kind byte, n int) {
	r.out = append(r.out, kind)
	r.out = strconv.AppendInt(r.out, int64(n), 10)
	r.out = append(r.out, "\r\n"...)
}
