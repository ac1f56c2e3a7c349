package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
)

func TestEmptyHistogramAnswersZero(t *testing.T) {
	t.Parallel()
	var h Histogram
	if h.Count() != 0 || h.Max() != 0 || h.Mean() != 0 || h.Quantile(0.5) != 0 {
		t.Fatal("an empty histogram must answer 0 to everything")
	}
}

func TestBucketsAreInOrderAndCloseToTheirValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Range(0, 1<<maxBits-1).Draw(t, "v")
		i := bucketOf(v)
		if i < 0 || i >= buckets {
			t.Fatalf("bucket of %d is %d, outside 0..%d", v, i, buckets-1)
		}
		if next := bucketOf(v + 1); next < i {
			t.Fatalf("bucket of %d is %d, but of %d it is %d", v, i, v+1, next)
		}
		got := float64(middleOf(i))
		if off := math.Abs(got - float64(v)); off > float64(v)*0.005 {
			t.Fatalf("%d is remembered as %.0f, off by %.2f %%", v, got, 100*off/float64(v))
		}
	})
}

func TestHugeAndNegativeDurationsAreKept(t *testing.T) {
	t.Parallel()
	var h Histogram
	h.Record(math.MaxInt64)
	h.Record(-time.Second)
	if h.Count() != 2 || h.Max() != math.MaxInt64 {
		t.Fatalf("count %d, max %d", h.Count(), h.Max())
	}
	if got := h.Quantile(0.1); got != 0 {
		t.Fatalf("a negative duration must count as 0, got %v", got)
	}
}

// The quantiles of many durations, spread over five powers of ten as latencies are, are
// within 1 % of those of the sorted durations themselves.
func TestQuantilesAreWithinOnePercent(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var whole Histogram
	parts := make([]Histogram, 4)
	exact := make([]time.Duration, 100_000)
	for i := range exact {
		d := time.Duration(math.Exp(rng.NormFloat64()*2 + 13))
		exact[i] = d
		parts[i%len(parts)].Record(d)
	}
	for i := range parts {
		whole.Merge(&parts[i])
	}
	slices.Sort(exact)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1} {
		want := exact[max(int(math.Ceil(q*float64(len(exact)))), 1)-1]
		got := whole.Quantile(q)
		if off := math.Abs(float64(got-want)) / float64(want); off > 0.01 {
			t.Errorf("quantile %v is %v, want %v: off by %.2f %%", q, got, want, off*100)
		}
	}
	if whole.Max() != exact[len(exact)-1] {
		t.Errorf("max is %v, want exactly %v", whole.Max(), exact[len(exact)-1])
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	d := time.Duration(0)
	for b.Loop() {
		d = (d*31 + 12345) & (1<<30 - 1)
		h.Record(d)
	}
}
