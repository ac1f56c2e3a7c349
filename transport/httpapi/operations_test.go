package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

func TestTTL(t *testing.T) {
	t.Parallel()
	const ttl = `~is neither seconds nor a duration`
	run(t, handler(t), []step{
		{request: "PUT /kv/a?ttl=30s", body: "x", status: 201, has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "GET /kv/a", status: 200, want: "x", has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "HEAD /kv/a", status: 200, want: "", has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "GET /kv?key=a", status: 200, want: `{"a":"x"}`, has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "GET /kv/a", header: `If-None-Match: "1"`, status: 304,
			has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "PUT /kv/a", header: `If-None-Match: *`, body: "y", status: 412, want: "~condition",
			has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "DELETE /kv/a", header: `If-Match: "99"`, status: 412, want: "~condition",
			has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "POST /kv/a?incr=1", status: 409, want: "~not_integer",
			has: "X-Pxkv-Expires: 2026-01-01T00:00:30.000Z"},
		{request: "PUT /kv/a", body: "x", status: 200, has: "X-Pxkv-Expires:"},
		{request: "GET /kv/a", status: 200, want: "x", has: "X-Pxkv-Expires:"},
		{request: "PUT /kv/a?ttl=1.5", body: "x", status: 200, has: "X-Pxkv-Expires: 2026-01-01T00:00:01.500Z"},
		{request: "PUT /kv/a?ttl=1ms", body: "x", status: 200, has: "X-Pxkv-Expires: 2026-01-01T00:00:00.001Z"},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":60}`, status: 200, want: `{"b":1}`,
			has: "X-Pxkv-Expires: 2026-01-01T00:01:00.000Z"},
		{request: "PUT /kv", body: `{"ttl":0.25,"key":"b","value":1}`, status: 200, want: `{"b":1}`,
			has: "X-Pxkv-Expires: 2026-01-01T00:00:00.250Z"},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":"24h"}`, status: 200, want: `{"b":1}`,
			has: "X-Pxkv-Expires: 2026-01-02T00:00:00.000Z"},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":"9"}`, status: 200, want: `{"b":1}`,
			has: "X-Pxkv-Expires: 2026-01-01T00:00:09.000Z"},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":0}`, status: 400, want: ttl},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":-1}`, status: 400, want: ttl},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":null}`, status: 400, want: ttl},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":[1]}`, status: 400, want: ttl},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":"soon"}`, status: 400, want: ttl},
		{request: "PUT /kv", body: `{"key":"b","value":1,"ttl":1e300}`, status: 400, want: ttl},
		{request: "PUT /kv", body: `{"key":"","value":1,"ttl":0}`, status: 400,
			want: `{"error":"Missing key or value"}`},
		{request: "PUT /kv/a?ttl=0", body: "x", status: 400, want: ttl},
		{request: "PUT /kv/a?ttl=", body: "x", status: 400, want: ttl},
		{request: "PUT /kv/a?ttl=-5s", body: "x", status: 400, want: ttl},
		{request: "PUT /kv/a?ttl=nan", body: "x", status: 400, want: ttl},
		{request: "PUT /kv/a?ttl=1&ttl=2", body: "x", status: 400, want: "~given twice"},
		{request: "PUT /kv?ttl=1", body: `{"key":"a","value":1}`, status: 400, want: "~does not apply"},
		{request: "GET /kv/a?ttl=1", status: 400, want: "~does not apply"},
		{request: "DELETE /kv/a?ttl=1", status: 400, want: "~does not apply"},
		{request: "GET /kv?ttl=1", status: 400, want: "~does not apply"},
	})
}

func TestCounter(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{request: "POST /kv/n?incr=5", status: 200, want: `{"key":"n","value":5}`,
			has: `ETag: "1"|Content-Type: application/json|X-Pxkv-Node: n1`},
		{request: "POST /kv/n?incr=-7", status: 200, want: `{"key":"n","value":-2}`, has: `ETag: "2"`},
		{request: "GET /kv?key=n", status: 200, want: `{"n":-2}`},
		{request: "POST /kv/n?incr=1", header: `If-Match: "1"`, status: 412, want: "~condition", has: `ETag: "2"`},
		{request: "PUT /kv/n", body: "9223372036854775807", status: 200},
		{request: "POST /kv/n?incr=1", status: 409, want: `~"code":"overflow"`, has: `ETag: "3"`},
		{request: "PUT /kv/n", body: "text", status: 200},
		{request: "POST /kv/n?incr=1", status: 409, want: `~"code":"not_integer"`, has: `ETag: "4"`},
		{request: "GET /kv/n", status: 200, want: "text"},
		{request: "POST /kv/n", status: 400, want: "~Parameter incr is missing"},
		{request: "POST /kv/n?incr=", status: 400, want: "~not an integer"},
		{request: "POST /kv/n?incr=1.5", status: 400, want: "~not an integer"},
		{request: "POST /kv/n?incr=9223372036854775808", status: 400, want: "~not an integer"},
		{request: "POST /kv/n?incr=1", body: "1", status: 400, want: "~no body"},
		{request: "POST /kv/?incr=1", status: 400, want: `{"error":"Missing key"}`},
		{request: "POST /kv/n?incr=1&ttl=5", status: 400, want: "~does not apply"},
		{request: "PUT /kv/n?incr=1", body: "1", status: 400, want: "~does not apply"},
		{request: "GET /kv/n?incr=1", status: 400, want: "~does not apply"},
	})
}

func TestBatch(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{
			request: "POST /batch", status: 200,
			body: ` { "ops" : [ {"op":"put","key":"a","value":{"x": 1},"ttl":30},{"op":"get","key":"a"}, {"op":"incr","key":"n","value":-3} ,{"op":"incr","key":"n"},
				{"op":"delete","key":"nobody"},{"op":"get","key":"nobody"},{"op":"put","key":"a","value":2,"if_version":9},{"op":"put","key":"new","value":"v","if_version":0},
				{"op":"incr","key":"a"},{"op":"put","key":"b","value":{"$binary":"AP8="}},{"key":"b","op":"get"},{"op":"delete","key":"b","if_version":5}]} `,
			want: `{"results":[{"status":200,"version":1,"expires":"2026-01-01T00:00:30.000Z"},{"status":200,"value":{"x":1},"version":1,"expires":"2026-01-01T00:00:30.000Z"},` +
				`{"status":200,"value":-3,"version":2},{"status":200,"value":-2,"version":3},{"status":404,"error":"Key not found"},{"status":404,"error":"Key not found"},` +
				`{"status":412,"error":"Condition not met","code":"condition","version":1},{"status":200,"version":4},{"status":409,"error":"Value is not an integer of 64 bits","code":"not_integer","version":1},` +
				`{"status":200,"version":5},{"status":200,"value":{"$binary":"AP8="},"version":5},{"status":200}]}`,
			has: "Content-Type: application/json",
		},
		{request: "POST /batch", body: `{"ops":[]}`, status: 200, want: `{"results":[]}`},
		{request: "POST /batch?timeout=5", body: `{"ops":[{"op":"get","key":"\udcff"}]}`, status: 200,
			want: `{"results":[{"status":404,"error":"Key not found"}]}`},
		{request: "POST /batch", body: ``, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "POST /batch", body: `{"ops":[{]}`, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "POST /batch", body: `{"ops":[]}x`, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "POST /batch", body: `[]`, status: 400, want: `~needs a member \"ops\"`},
		{request: "POST /batch", body: `{"ops":{}}`, status: 400, want: `~needs a member \"ops\"`},
		{request: "POST /batch", body: `{}`, status: 400, want: `~needs a member \"ops\"`},
		{request: "POST /batch", body: `{"ops":[1]}`, status: 400, want: "~Operation 0: it is not an object"},
		{request: "POST /batch", body: `{"ops":[{"op":"get","key":"a"},{"op":"patch","key":"a"}]}`, status: 400,
			want: `~Operation 1: its \"op\" is not`},
		{request: "POST /batch", body: `{"ops":[{"op":"get"}]}`, status: 400,
			want: `{"error":"Operation 0: Missing key","code":"invalid"}`},
		{request: "POST /batch", body: `{"ops":[{"op":"get","key":""}]}`, status: 400,
			want: `{"error":"Operation 0: Missing key","code":"invalid"}`},
		{request: "POST /batch", body: `{"ops":[{"op":"put","key":"a"}]}`, status: 400,
			want: `{"error":"Operation 0: Missing key or value","code":"invalid"}`},
		{request: "POST /batch", body: `{"ops":[{"op":"put","key":"a","value":null}]}`, status: 400,
			want: "~Missing key or value"},
		{request: "POST /batch", body: `{"ops":[{"op":"get","key":"a","value":1}]}`, status: 400,
			want: "~goes only with"},
		{request: "POST /batch", body: `{"ops":[{"op":"get","key":"a","if_version":1}]}`, status: 400,
			want: "~does not go with"},
		{request: "POST /batch", body: `{"ops":[{"op":"incr","key":"a","ttl":1}]}`, status: 400,
			want: "~goes only with"},
		{request: "POST /batch", body: `{"ops":[{"op":"incr","key":"a","value":1.5}]}`, status: 400,
			want: "~not an integer"},
		{request: "POST /batch", body: `{"ops":[{"op":"put","key":"a","value":1,"ttl":0}]}`, status: 400,
			want: "~Operation 0: Member"},
		{request: "POST /batch", body: `{"ops":[{"op":"put","key":"a","value":1,"if_version":"1"}]}`, status: 400,
			want: "~not a version"},
		{request: "POST /batch", body: `{"ops":[{"op":"put","key":"a","value":1,"if_version":-1}]}`, status: 400,
			want: "~not a version"},
		{request: "POST /batch?key=a", body: `{"ops":[]}`, status: 400, want: "~does not apply"},
		{request: "POST /batch", header: `If-Match: "1"`, body: `{"ops":[]}`, status: 400, want: "~if_version"},
		{request: "POST /batch", header: `Idempotency-Key: 1`, body: `{"ops":[]}`, status: 400,
			want: "~Idempotency-Key"},
		{request: "GET /batch", status: 405, want: `~"code":"method"`, has: "Allow: POST"},
		{request: "GET /kv?key=a", status: 200, want: `{"a":{"x":1}}`, has: `ETag: "1"`},
	})
}

// A put of a batch can say all that a raw write can, and a deadline as a moment.
func TestBatchPutsWithContentTypeAndMoment(t *testing.T) {
	t.Parallel()
	put := func(members string) string { return `{"ops":[{"op":"put","key":"a","value":"<p>",` + members + `}]}` }
	steps := []step{
		{request: "POST /batch", body: put(`"content_type":" text/html ","expires":"2026-01-01T02:00:30.25+02:00"`),
			status: 200, want: `{"results":[{"status":200,"version":1,"expires":"2026-01-01T00:00:30.250Z"}]}`},
		{request: "GET /kv/a", status: 200, want: "<p>", has: "Content-Type: text/html"},
		{request: "GET /kv?meta", status: 200, want: `~"content_type":"text/html"`},
		{request: "POST /batch", body: put(`"content_type":""`), status: 200, want: `~"status":200`},
		{request: "GET /kv/a", status: 200, want: "<p>", has: "Content-Type: text/plain; charset=utf-8"},
		{request: "POST /batch", body: put(`"expires":"2026-01-01T00:00:30Z","ttl":1`), status: 400,
			want: "~does not go with"},
		{request: "POST /batch", body: put(`"content_type":"` + strings.Repeat("a", 256) + `"`), status: 400,
			want: "~longer than 255 bytes"},
		{request: "POST /batch", body: `{"ops":[{"op":"incr","key":"a","content_type":"x"}]}`, status: 400,
			want: "~goes only with"},
		{request: "POST /batch", body: `{"ops":[{"op":"get","key":"a","expires":"2026-01-01T00:00:30Z"}]}`, status: 400,
			want: "~goes only with"},
	}
	for _, wrong := range []string{`"a\r\nSet-Cookie: x"`, `"\u0000"`, `"\u00fc"`, `1`, `null`, `{}`} {
		steps = append(steps, step{request: "POST /batch", body: put(`"content_type":` + wrong), status: 400,
			want: "~printable ASCII"})
	}
	for _, wrong := range []string{`"soon"`, `"2026-01-01"`, `"1969-12-31T23:59:59Z"`, `0`, `null`, `[]`, `""`} {
		steps = append(steps, step{request: "POST /batch", body: put(`"expires":` + wrong), status: 400,
			want: "~no moment after 1970"})
	}
	run(t, handler(t), steps)
}

func TestBatchHasLimits(t *testing.T) {
	t.Parallel()
	h := newTestServer(t, newFake(), func(o *Options) { o.MaxValueBytes = 50 }).Handler()
	ops := func(n int, op string) string {
		return `{"ops":[` + strings.TrimSuffix(strings.Repeat(op+",", n), ",") + `]}`
	}
	run(t, h, []step{
		{request: "POST /batch", body: ops(maxBatchOps, `{"op":"get","key":"a"}`), status: 200, want: "~results"},
		{request: "POST /batch", body: ops(maxBatchOps+1, `{"op":"get","key":"a"}`), status: 400,
			want: "~More than 1000 operations"},
		{request: "POST /batch", body: ops(1, `{"op":"put","key":"a","value":"`+strings.Repeat("x", 51)+`"}`),
			status: 413, want: "~Operation 0: Value of 51 bytes"},
		{request: "POST /batch", body: ops(1, `{"op":"get","key":"`+strings.Repeat("x", kv.MaxKeyBytes+1)+`"}`),
			status: 400, want: "~Operation 0: Key of"},
		{request: "POST /batch", body: ops(1, `{"op":"put","key":"a","value":"`+strings.Repeat("x", 200_000)+`"}`),
			status: 413, want: "~The body is larger"},
	})
}

// Each operation of a batch has an ending of its own.
func TestBatchTellsOutcomesApart(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newTestServer(t, f, nil).Handler()
	for _, c := range []struct {
		err    *kv.Error
		status int
	}{
		{kv.ErrUnknown(), 504}, {kv.Errorf(kv.Unavailable, "no leader"), 503}, {kv.Errorf(kv.Full, "full"), 507},
		{kv.Errorf(kv.Internal, "odd"), 504},
	} {
		f.failWrite = c.err
		w := do(t, h, "POST /batch", `{"ops":[{"op":"put","key":"a","value":1},{"op":"get","key":"a"}]}`)
		if want := fmt.Sprintf(`{"results":[{"status":%d,`, c.status); !strings.HasPrefix(w.Body.String(), want) ||
			!strings.Contains(w.Body.String(), `{"status":404,`) {
			t.Errorf("%v: %s", c.err, w.Body)
		}
	}
}

func FuzzBatch(f *testing.F) {
	for i, text := range bodies {
		f.Add([]byte(`{"ops":[{"op":"put","key":"a","value":`+text+`},{"op":"get","key":"a"}]}`), uint8(i%6))
		f.Add([]byte(text), uint8(0))
	}
	f.Add([]byte(`{"ops":[{"op":"incr","key":"a","value":3,"if_version":0},{"op":"delete","key":"\udcff","ttl":1}]}`),
		uint8(0))
	handlers := fuzzHandlers(f)
	f.Fuzz(func(t *testing.T, body []byte, limits uint8) {
		h := handlers(limits)
		w := send(t, h, newRequest("POST", "/batch", body))
		if w.Code != http.StatusOK {
			return
		}
		var sent struct{ Ops []json.RawMessage }
		var got struct {
			Results []struct{ Status int }
		}
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(&sent); err != nil {
			t.Fatalf("%q was taken, and is no JSON: %v", body, err)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Results) != len(sent.Ops) {
			t.Fatalf("%q: %s", body, w.Body)
		}
	})
}

// Redis clients may give any deadline: what RFC 3339 cannot tell is shown as the last moment that it can.
func TestExpiresIsATimeOfRFC3339(t *testing.T) {
	t.Parallel()
	for deadline, want := range map[int64]string{
		1: "1970-01-01T00:00:00.001Z", lastMoment: "9999-12-31T23:59:59.999Z",
		lastMoment + 1: "9999-12-31T23:59:59.999Z", math.MaxInt64: "9999-12-31T23:59:59.999Z",
	} {
		got := timestamp(deadline)
		if _, err := time.Parse(time.RFC3339, got); err != nil || got != want {
			t.Errorf("%d: %s, %v", deadline, got, err)
		}
	}
}
