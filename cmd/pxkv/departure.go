package main

import (
	"fmt"
	"strings"
	"time"

	"pxkv/node/kv"
)

// departureText says how far a member is on its way out of the cluster.
func departureText(d *kv.DepartureView) string {
	text := fmt.Sprintf("%d of %d partitions left", d.Left, d.Left+d.Moved)
	if d.Left+d.Moved == 0 && len(d.Waits) == 0 {
		text = "it is not known how far that is" // nobody leads the cluster's own group, or just begins to
	}
	if d.LeftBytes > 0 {
		text += ", " + sizeText(d.LeftBytes)
	}
	if d.BytesPerSecond > 0 {
		text += fmt.Sprintf(", %s/s, about %v", sizeText(d.BytesPerSecond), seconds(d.SecondsLeft))
	}
	if d.StalledSeconds > 0 {
		text += fmt.Sprintf(", no progress for %v", seconds(d.StalledSeconds))
	}
	if len(d.Waits) > 0 {
		text += "; waits: " + waitText(&d.Waits[0])
		if more := len(d.Waits) - 1; more > 0 {
			text += fmt.Sprintf(" (and %s)", plural(more, "other reason"))
		}
	}
	return text
}

// waitText says what is waited for, by which partitions.
func waitText(w *kv.WaitView) string {
	const most = 5 // that are named
	switch len(w.Partitions) {
	case 0:
		return w.Why
	case 1:
		return fmt.Sprintf("partition %s: %s", w.Partitions[0], w.Why)
	}
	return fmt.Sprintf("partitions %s: %s", kv.PartitionList(w.Partitions, most), w.Why)
}

// departingText tells of a member that is on its way out: since when, why, and how far it is.
func departingText(m *kv.MemberView) string {
	why := map[kv.Cause]string{
		kv.CauseLeft: "as it was asked to", kv.CauseRemoved: "as an operator has given it up",
		kv.CauseLost: "as nobody had heard it for too long",
	}[m.Departure.Cause]
	if why == "" {
		why = string(m.Departure.Cause)
	}
	return fmt.Sprintf("%s is %s since %s, %s: %s", m.Name, m.State, moment(m.Departure.SinceMS), why,
		departureText(m.Departure))
}

// moment shows a time in milliseconds since 1970.
func moment(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// sizeText shows a number of bytes.
func sizeText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	size := float64(n) / (1 << 10)
	for len(units) > 1 && size >= 1<<10 {
		size, units = size/(1<<10), units[1:]
	}
	return fmt.Sprintf("%.1f %s", size, units[0])
}

// list shows reasons, each on a line of its own.
func list(reasons []string) string { return "\n  " + strings.Join(reasons, "\n  ") }
