package resp

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

func TestSlowCommandsAreKept(t *testing.T) {
	t.Parallel()
	address, _ := start(t, newFake(), func(o *Options) { o.SlowAfter, o.SlowKept = time.Nanosecond, 3 })
	c := dial(t, address)
	c.do("CLIENT", "SETNAME", "me")
	c.do("SET", "a", strings.Repeat("v", 200))
	c.raw("GET a\r\nGET b\r\nGET c\r\n")
	for range 3 {
		c.reply()
	}
	c.do("DBSIZE")
	got := c.do("SLOWLOG", "GET")
	for _, want := range []string{`["DBSIZE"]`, `["GET" "a" "... (and 2 more commands of the pipeline)"]`,
		`["SET" "a" "` + strings.Repeat("v", 128) + `... (72 more bytes)"]`, `"me"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("the slow log is without %s: %s", want, got)
		}
	}
	c.do("DBSIZE")
	if n := c.do("SLOWLOG", "LEN"); n != ":3" {
		t.Errorf("%s entries, want 3", n)
	}
	if got := c.do("SLOWLOG", "GET", "1"); !strings.Contains(got, `["DBSIZE"]`) || strings.Contains(got, "GET") {
		t.Errorf("the newest entry: %s", got)
	}
	c.do("SLOWLOG", "RESET")
	if n := c.do("SLOWLOG", "LEN"); n != ":0" {
		t.Errorf("%s entries after RESET", n)
	}
}

func TestMetricsTellNameAndOutcome(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	f := newFake()
	address, _ := start(t, f, func(o *Options) { o.Metrics = registry })
	c := dial(t, address)
	c.raw("SET a 1\r\nGET a\r\nGET b\r\nNONSENSE\r\n")
	for range 4 {
		c.reply()
	}
	f.mu.Lock()
	f.failing = kv.ErrUnknown()
	f.mu.Unlock()
	c.do("SET", "a", "2")
	c.raw("MULTI\r\nPING a b\r\nEXEC\r\nMULTI\r\nECHO -OOM\r\nECHO a\r\nSELECT 1\r\nEXEC\r\n")
	for range 8 {
		c.reply()
	}
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"pxkv_resp_commands_total set ok": 1, "pxkv_resp_commands_total set unknown": 1,
		"pxkv_resp_commands_total get ok":        2,
		"pxkv_resp_commands_total refused error": 1, "pxkv_resp_connections": 1, "pxkv_resp_connections_total": 1,
		"pxkv_resp_commands_total exec error": 0, "pxkv_resp_commands_total exec ok": 2,
		"pxkv_resp_commands_total ping error": 1, "pxkv_resp_commands_total echo ok": 2,
		"pxkv_resp_commands_total select error": 1, "pxkv_resp_commands_total queued ok": 4,
		"pxkv_resp_command_seconds set": 2, "pxkv_resp_command_seconds get": 1,
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
}
