package transfer

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What no JSON body can say is written raw: alone, in its place among the others of its key, and once more when it may
// not have been done.
func TestImportOfWhatIsWrittenRaw(t *testing.T) {
	t.Parallel()
	text := fmt.Sprintf(`{"key":"a","value":1}
{"key":"long","value":"first"}
{"key":"long","value":"%s"}
{"key":"like","value":{"$binary" : "AP8="},"type":"object","content_type":"application/json; v=1"}
{"key":"bare","value":{"$binary":5},"type":"object"}
{"key":"bytes","value":{"$binary":"AP8="},"type":"binary"}
{"key":"more","value":{"$binary":"AP8=","x":1},"type":"object"}
{"key":"odd","value":{"$binary":5}}
{"key":"long","value":"last"}
`, strings.Repeat(`\u0001`, 3<<20))
	tries := 0
	s := &fakeStore{pairs: map[string]string{"bare": "old"}, before: func(_ int, ops []put) (bool, error) {
		if ops[0].Op == "raw" && ops[0].Key == "long" {
			if tries++; tries < 3 {
				return tries == 1, &Failure{Unknown, errors.New("who knows")}
			}
		}
		return true, nil
	}}
	counts, faults, err := imported(t, s, text, nil)
	if want := (Counts{Imported: 8, Bad: 1}); err != nil || counts != want || len(faults) != 1 {
		t.Fatalf("%+v %v %v", counts, faults, err)
	}
	for key, want := range map[string]string{"a": "1", "long": `"last"`, "like": `{"$binary":"AP8="}`,
		"bare": `{"$binary":5}`, "bytes": `{"$binary":"AP8="}`, "more": `{"$binary":"AP8=","x":1}`} {
		if s.pairs[key] != want {
			t.Errorf("%s is %.50q, want %s", key, s.pairs[key], want)
		}
	}
	raw := map[string]string{}
	for _, call := range s.calls {
		if call[0].Op == "raw" {
			raw[call[0].Key] = call[0].ContentType
		}
	}
	if got := fmt.Sprint(raw); got != "map[bare:application/json like:application/json; v=1 long:]" {
		t.Errorf("written raw: %s", got)
	}
	if tries != 3 {
		t.Errorf("%d tries", tries)
	}

	s = &fakeStore{pairs: map[string]string{"long": "old"}}
	text = `{"key":"long","value":"` + strings.Repeat(`\u0001`, 3<<20) + `"}` + "\n" +
		`{"key":"json","value":"[\"` + strings.Repeat(`\u007f`, 3<<20) + `\"]","content_type":"application/json"}`
	counts, faults, err = imported(t, s, text, func(im *Import) { im.IfAbsent = true })
	if want := (Counts{Present: 1, Imported: 1}); err != nil || counts != want || s.pairs["long"] != "old" {
		t.Errorf("%+v %v %v", counts, faults, err)
	}
}

func TestExportCountsWhatLooksLikeBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"$binary":"AA=="}`: true, `{ "$binary" : 5 }`: true, `{"$binary":"a","b":1}`: false,
		`{"b":{"$binary":1}}`: false,
		`{}`:                  false, `5`: false, ``: false, `{"\u0024binary":1}`: false,
	} {
		if looksLikeBytes([]byte(text)) != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
}
