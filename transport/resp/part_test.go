package resp

import (
	"io"
	"slices"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// Commands that do not answer a whole value do not fetch it, alone and in a pipeline.
func TestCommandsAskForWhatTheyNeed(t *testing.T) {
	t.Parallel()
	nothing := kv.Part{Kind: kv.NoValue}
	beginning := kv.Part{Kind: kv.RangeOfValue, Start: 0, End: longestEmbedded - 1}
	for command, c := range map[string]struct {
		parts []kv.Part
		want  string
	}{
		"EXISTS L L none":   {[]kv.Part{nothing, nothing, nothing}, ":2\r\n"},
		"TOUCH L":           {[]kv.Part{nothing}, ":1\r\n"},
		"TYPE L":            {[]kv.Part{nothing}, "+string\r\n"},
		"TTL L":             {[]kv.Part{nothing}, ":-1\r\n"},
		"PTTL none":         {[]kv.Part{nothing}, ":-2\r\n"},
		"EXPIRETIME L":      {[]kv.Part{nothing}, ":-1\r\n"},
		"STRLEN L":          {[]kv.Part{nothing}, ":100000\r\n"},
		"STRLEN none":       {[]kv.Part{nothing}, ":0\r\n"},
		"GETRANGE L 2 5":    {[]kv.Part{{Kind: kv.RangeOfValue, Start: 2, End: 5}}, "$4\r\n2345\r\n"},
		"SUBSTR L -2 -1":    {[]kv.Part{{Kind: kv.RangeOfValue, Start: -2, End: -1}}, "$2\r\n89\r\n"},
		"OBJECT ENCODING L": {[]kv.Part{beginning}, "$3\r\nraw\r\n"},
		"OBJECT ENCODING n": {[]kv.Part{beginning}, "$3\r\nint\r\n"},
		"OBJECT ENCODING w": {[]kv.Part{beginning}, "$6\r\nembstr\r\n"},
		"MEMORY USAGE L":    {[]kv.Part{nothing}, ":100041\r\n"},
		"WATCH L":           {[]kv.Part{nothing}, "+OK\r\n"},
		"GET w":             {[]kv.Part{{}}, "$4\r\nword\r\n"},
		"MGET w none":       {[]kv.Part{{}, {}}, "*2\r\n$4\r\nword\r\n$-1\r\n"},
		"STRLEN L\r\nGET w": {[]kv.Part{nothing, {}}, ":100000\r\n$4\r\nword\r\n"},
		"MULTI\r\nSTRLEN w\r\nGETRANGE w 1 2\r\nEXEC": {[]kv.Part{
			nothing, {Kind: kv.RangeOfValue, Start: 1, End: 2},
		}, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:4\r\n$2\r\nor\r\n"},
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			for key, data := range map[string]string{
				"L": strings.Repeat("0123456789", 10_000), "n": "-12", "w": "word",
			} {
				f.items[key] = kv.Item{Value: value([]byte(data)), Version: 1}
			}
			address, _ := start(t, f, nil)
			d := dial(t, address)
			d.raw(command + "\r\n")
			got := make([]byte, len(c.want))
			if _, err := io.ReadFull(d.in, got); err != nil || string(got) != c.want {
				t.Errorf("answered %q, want %q: %v", got, c.want, err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if !slices.Equal(f.asked, c.parts) {
				t.Errorf("asked for %+v, want %+v", f.asked, c.parts)
			}
		})
	}
}
