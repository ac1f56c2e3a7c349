package load

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits = 7            // 128 steps per power of two: a bucket is at most 1/128 of its value wide
	steps   = 1 << subBits // buckets per power of two
	maxBits = 40           // values of 2^40 ns (18 minutes) and more share the last bucket
	buckets = (maxBits - subBits + 1) * steps
)

// Histogram counts durations in buckets whose width grows with the value, so that any
// quantile is known within 0.4 % (half a bucket) in 35 KB, however many are recorded.
// The largest and the sum are exact. The zero value is empty and ready; it is not safe
// for concurrent use: give each goroutine its own and Merge them.
type Histogram struct {
	counts [buckets]uint64
	count  uint64
	sum    time.Duration
	max    time.Duration
}

// Record adds one duration; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Merge adds everything that other has recorded.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the largest recorded duration, exactly; 0 when empty.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the average, 0 when empty.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile returns the smallest value that at least the fraction q (0 to 1) of all
// recorded durations do not exceed, as the middle of its bucket; 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(h.count)))
	if rank >= h.count {
		return h.max
	}
	rank = max(rank, 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(middleOf(i), h.max)
		}
	}
	return h.max
}

// bucketOf maps v to its bucket: values below steps have one each; above, the leading
// subBits+1 bits of v choose it.
func bucketOf(v uint64) int {
	if v < steps {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	if shift >= maxBits-subBits {
		return buckets - 1
	}
	return shift*steps + int(v>>shift)
}

// middleOf returns the value in the middle of bucket i, the inverse of bucketOf.
func middleOf(i int) time.Duration {
	if i < 2*steps {
		return time.Duration(i)
	}
	shift := i/steps - 1
	low := uint64(i-shift*steps) << shift
	return time.Duration(low + uint64(1)<<shift/2)
}
