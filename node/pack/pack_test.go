package pack

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/kv"
)

var algorithms = []kv.Packing{kv.Zlib, kv.Zstd}

// shrinks draws data that has something in it to be found again.
func shrinks(t *rapid.T) []byte {
	words := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 20), 1, 20).Draw(t, "words")
	var b []byte
	for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(words)-1), 0, 2000).Draw(t, "text") {
		b = append(b, words[i]...)
	}
	return b
}

// Whatever is packed comes back, is shorter by what was promised, and is the caller's own.
func TestWhatIsPackedComesBack(t *testing.T) {
	t.Parallel()
	const least = 1
	for _, by := range algorithms {
		p, u := NewPacker(by, least), NewUnpacker(1)
		rapid.Check(t, func(t *rapid.T) {
			v := kv.Value{Kind: kv.Binary, ContentType: "a/b", Data: shrinks(t)}
			was := bytes.Clone(v.Data)
			got := p.Pack(v)
			plain, err := u.Unpack(&got)
			switch {
			case err != nil || !bytes.Equal(plain, was) || !bytes.Equal(v.Data, was):
				t.Fatalf("%v made %d bytes of %d, and of these %d, %v", by, len(got.Data), len(was), len(plain), err)
			case !got.WellPacked() || got.Length() != len(was) || got.Kind != v.Kind ||
				got.ContentType != v.ContentType:
				t.Fatalf("%v made %+v", by, got)
			case got.Packing != kv.NotPacked && (got.Packing != by || len(got.Data) > len(was)-len(was)/leastShare ||
				len(got.Data) > len(was)-leastGain || u.Check(&got) != nil):
				t.Fatalf("%v made %d bytes of %d: %v", by, len(got.Data), len(was), u.Check(&got))
			}
		})
	}
}

// Values that are short, or that do not become shorter, stay as they are, and are counted.
func TestWhatIsLeft(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 10_000)
	rng := rand.NewChaCha8([32]byte{})
	_, _ = rng.Read(noise)
	for _, by := range algorithms {
		p := NewPacker(by, 0)
		for what, c := range map[string]struct {
			data   []byte
			packed bool
		}{
			"nothing":         {nil, false},
			"a short text":    {bytes.Repeat([]byte("a"), 256), false},
			"a longer text":   {bytes.Repeat([]byte("a"), 257), true},
			"noise":           {noise, false},
			"mostly noise":    {append(bytes.Clone(noise), make([]byte, 500)...), false}, // less than a sixteenth
			"noise and zeros": {append(bytes.Clone(noise), make([]byte, 3000)...), true},
		} {
			was := [...]int64{p.Packed.Load(), p.Left.Load(), p.Before.Load(), p.After.Load()}
			v := p.Pack(kv.Value{Kind: kv.Binary, Data: c.data})
			if (v.Packing != kv.NotPacked) != c.packed {
				t.Errorf("%s, %v: %d bytes became %d", what, by, len(c.data), len(v.Data))
			}
			tried := int64(0)
			if len(c.data) > 256 {
				tried = 1
			}
			if packed, left := p.Packed.Load()-was[0], p.Left.Load()-was[1]; packed+left != tried ||
				(packed == 1) != c.packed {
				t.Errorf("%s, %v: counts %d packed, %d left", what, by, packed, left)
			}
			if before, after := p.Before.Load()-was[2], p.After.Load()-was[3]; before != tried*int64(len(c.data)) ||
				after != tried*int64(len(v.Data)) {
				t.Errorf("%s, %v: counts %d bytes before and %d after", what, by, before, after)
			}
		}
	}
	none := NewPacker(kv.NotPacked, 0)
	if none.Pack(kv.Value{Data: make([]byte, 1000)}).Packing != kv.NotPacked {
		t.Error("none packs")
	}
	for _, by := range []kv.Packing{kv.NotPacked, kv.Zlib, kv.Zstd} {
		if got, err := Parse(by.String()); got != by || err != nil {
			t.Errorf("%v is read as %v, %v", by, got, err)
		}
	}
	if _, err := Parse("lz4"); err == nil {
		t.Error("lz4 is known")
	}
}

// zlibOf and zstdOf make what no Packer makes.
func zlibOf(plain []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(plain)
	_ = w.Close()
	return b.Bytes()
}

func zstdOf(t testing.TB, plain []byte, options ...zstd.EOption) []byte {
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(plain, nil)
}

// streamed has no length in its head.
func streamed(t testing.TB, plain []byte) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(plain[:len(plain)/2])
	_ = w.Flush()
	_, _ = w.Write(plain[len(plain)/2:])
	_ = w.Close()
	return b.Bytes()
}

// What a peer or a disk says is not believed: there is an error, and never more memory than a value may take.
func TestBombsAndDamage(t *testing.T) {
	t.Parallel()
	u := NewUnpacker(2)
	zeros := make([]byte, 100<<20) // packs to some kilobytes
	text := []byte(strings.Repeat("a text that is long enough to be packed ", 100))
	for _, c := range []struct {
		what string
		v    kv.Value
		fits bool
	}{
		{"zlib", kv.Value{Packing: kv.Zlib, Data: zlibOf(text), Plain: len(text)}, true},
		{"zstd", kv.Value{Packing: kv.Zstd, Data: zstdOf(t, text), Plain: len(text)}, true},
		{"a stream", kv.Value{Packing: kv.Zstd, Data: streamed(t, text), Plain: len(text)}, true},
		{"zlib, longer", kv.Value{Packing: kv.Zlib, Data: zlibOf(text), Plain: len(text) - 1}, false},
		{"zlib, shorter", kv.Value{Packing: kv.Zlib, Data: zlibOf(text), Plain: len(text) + 1}, false},
		{"zstd, longer", kv.Value{Packing: kv.Zstd, Data: zstdOf(t, text), Plain: len(text) - 1}, false},
		{"zstd, shorter", kv.Value{Packing: kv.Zstd, Data: zstdOf(t, text), Plain: len(text) + 1}, false},
		{"a stream, longer", kv.Value{Packing: kv.Zstd, Data: streamed(t, text), Plain: len(text) - 1}, false},
		{"zlib and more", kv.Value{Packing: kv.Zlib, Data: append(zlibOf(text), 0), Plain: len(text)}, false},
		{"zlib, cut", kv.Value{Packing: kv.Zlib, Data: zlibOf(text)[:20], Plain: len(text)}, false},
		{"zlib, no checksum", kv.Value{
			Packing: kv.Zlib, Data: zlibOf(text)[:len(zlibOf(text))-4], Plain: len(text),
		}, false},
		{"zstd, cut", kv.Value{Packing: kv.Zstd, Data: zstdOf(t, text)[:20], Plain: len(text)}, false},
		{"a bomb of zlib", kv.Value{Packing: kv.Zlib, Data: zlibOf(zeros), Plain: kv.DefaultMaxValueBytes}, false},
		{"a bomb of zstd", kv.Value{Packing: kv.Zstd, Data: zstdOf(t, zeros), Plain: kv.DefaultMaxValueBytes}, false},
		{"a streamed bomb", kv.Value{
			Packing: kv.Zstd, Data: streamed(t, zeros), Plain: kv.DefaultMaxValueBytes,
		}, false},
		{"two frames", kv.Value{
			Packing: kv.Zstd, Data: append(zstdOf(t, text), zstdOf(t, text)...), Plain: len(text),
		}, false},
		{"a length beyond all", kv.Value{Packing: kv.Zstd, Data: zstdOf(t, zeros), Plain: len(zeros)}, false},
		{"an unknown packing", kv.Value{Packing: 3, Data: zstdOf(t, text), Plain: len(text)}, false},
		{"nothing", kv.Value{Packing: kv.Zlib, Plain: 10}, false},
		{"a window of 512 MiB", kv.Value{
			// A frame of one block without content, as the head says.
			Packing: kv.Zstd, Data: []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 19 << 3, 1, 0, 0}, Plain: 1 << 20,
		}, false},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		plain, err := u.Unpack(&c.v)
		runtime.ReadMemStats(&after)
		if c.fits != (err == nil) || err != nil && !errors.Is(err, ErrDamaged) || c.fits && len(plain) != c.v.Plain {
			t.Errorf("%s: %d bytes, %v", c.what, len(plain), err)
		}
		// Other tests allot meanwhile; a bomb would take a hundred.
		if more := after.TotalAlloc - before.TotalAlloc; more > 80<<20 {
			t.Errorf("%s: took %d bytes of memory", c.what, more)
		}
		if e := u.Check(&c.v); (e == nil) != (err == nil) {
			t.Errorf("%s: checked it is %v, unpacked %v", c.what, e, err)
		}
	}
}

// Many use one of each at a time, more than have room in it.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, by := range algorithms {
		p, u := NewPacker(by, 0), NewUnpacker(2)
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				want := []byte(strings.Repeat(fmt.Sprint("value ", i, ";"), 40+100*(i%3)*i))
				for range 10 {
					v := p.Pack(kv.Value{Kind: kv.String, Data: want})
					got, err := u.Unpack(&v)
					if err != nil || !bytes.Equal(got, want) || v.Packing != by {
						t.Errorf("%v of %d: %d of %d bytes, %v", by, i, len(got), len(want), err)
					}
				}
			})
		}
		all.Wait()
	}
}

// FuzzUnpack: nothing but an error comes of bytes that nobody packed, and what unpacks has the length that was said.
func FuzzUnpack(f *testing.F) {
	text := []byte(strings.Repeat("text ", 100))
	for _, by := range algorithms {
		v := NewPacker(by, 0).Pack(kv.Value{Kind: kv.String, Data: text})
		f.Add(byte(by), v.Data, v.Plain)
		f.Add(byte(by), v.Data[:len(v.Data)-3], v.Plain)
	}
	f.Add(byte(kv.Zstd), streamed(f, text), len(text))
	u := NewUnpacker(1)
	f.Fuzz(func(t *testing.T, by byte, data []byte, plain int) {
		v := kv.Value{Kind: kv.String, Packing: kv.Packing(by), Data: data, Plain: plain}
		got, err := u.Unpack(&v)
		switch {
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Fatalf("error of another kind: %v", err)
		case err == nil && len(got) != v.Length() && v.Packing != kv.NotPacked:
			t.Fatalf("%d bytes instead of %d", len(got), v.Length())
		case (err == nil) != (u.Check(&v) == nil):
			t.Fatalf("unpacked it is %v, checked %v", err, u.Check(&v))
		}
		// And it is as good as ever for what is sound.
		for _, sound := range []kv.Value{
			{Packing: kv.Zlib, Data: zlibSound, Plain: 4000}, {Packing: kv.Zstd, Data: zstdSound, Plain: 4000},
		} {
			if err := u.Check(&sound); err != nil {
				t.Fatalf("%v afterwards: %v", sound.Packing, err)
			}
		}
	})
}

var (
	zlibSound = zlibOf(bytes.Repeat([]byte("sound "), 4000)[:4000])
	zstdSound = NewPacker(kv.Zstd, 0).Pack(kv.Value{Data: bytes.Repeat([]byte("sound "), 4000)[:4000]}).Data
)
