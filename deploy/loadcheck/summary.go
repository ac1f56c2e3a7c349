package loadcheck

import (
	"encoding/json"
	"sync"
	"time"
)

// Summary tells how the writes and reads of a Load ended. Times are milliseconds.
type Summary struct {
	Acked       int      `json:"acked"`
	Repeated    int      `json:"repeated"` // attempts that were certainly not done and were sent again
	Failed      int      `json:"failed"`   // certainly not done in the end, and reads without any answer
	Unknown     int      `json:"unknown"`  // writes that may or may not have happened
	Reads       int      `json:"reads"`
	Lost        int      `json:"lost"`           // reads that did not find an acknowledged pair
	LongestGap  int64    `json:"longest_gap_ms"` // during which no write at all was acknowledged
	SlowestPut  int64    `json:"slowest_put_ms"` // of an acknowledged write, repetitions included
	SlowestRead int64    `json:"slowest_read_ms"`
	Duration    int64    `json:"duration_ms"`
	Examples    []string `json:"examples,omitempty"` // the first few failed, unknown and lost
}

// String returns the summary as one line of JSON.
func (s Summary) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error() // cannot happen: the fields are numbers and texts
	}
	return string(b)
}

// tally gathers a Summary from many goroutines.
type tally struct {
	mu      sync.Mutex
	sum     Summary
	begin   time.Time
	lastAck time.Time
	ended   bool // writes that are acknowledged later do not count for the gap
}

func (t *tally) start(now time.Time) { t.begin, t.lastAck = now, now }

func (t *tally) stop(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gap(now)
	t.sum.Duration = now.Sub(t.begin).Milliseconds()
	t.ended = true
}

// gap takes note that writes are acknowledged up to now. The caller holds mu.
func (t *tally) gap(now time.Time) {
	if t.ended || now.Before(t.lastAck) {
		return
	}
	t.sum.LongestGap = max(t.sum.LongestGap, now.Sub(t.lastAck).Milliseconds())
	t.lastAck = now
}

func (t *tally) acknowledged(now time.Time, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Acked++
	t.sum.SlowestPut = max(t.sum.SlowestPut, took.Milliseconds())
	t.gap(now)
}

func (t *tally) read(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Reads++
	t.sum.SlowestRead = max(t.sum.SlowestRead, took.Milliseconds())
}

func (t *tally) repeated()         { t.count(&t.sum.Repeated, nil) }
func (t *tally) failed(err error)  { t.count(&t.sum.Failed, err) }
func (t *tally) unknown(err error) { t.count(&t.sum.Unknown, err) }
func (t *tally) lost(err error)    { t.count(&t.sum.Lost, err) }

func (t *tally) count(n *int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
	if err != nil && len(t.sum.Examples) < maxExamples {
		t.sum.Examples = append(t.sum.Examples, err.Error())
	}
}

func (t *tally) summary() Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}
