package ring

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func TestCRC16IsXMODEM(t *testing.T) {
	t.Parallel()
	if got := crc16([]byte("123456789")); got != 0x31C3 {
		t.Errorf("crc16(123456789) = %#04x, want the published check value 0x31C3", got)
	}
}

// The slots are what CLUSTER KEYSLOT of a Redis server answers.
func TestSlotOfPublishedKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		slot int
	}{
		{"", 0},
		{"somekey", 11058},
		{"foo{hash_tag}", 2515},
		{"foo", 12182},
		{"bar", 5061},
		{"hello", 866},
		{"123456789", 0x31C3 % Slots},
	} {
		if got := SlotOf([]byte(c.key)); got != c.slot {
			t.Errorf("SlotOf(%q) = %d, want %d", c.key, got, c.slot)
		}
	}
}

func TestHashTagRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, tag, why string }{
		{"{user1000}.following", "user1000", "a tag at the start"},
		{"{user1000}.followers", "user1000", "so both share a slot"},
		{"foo{bar}", "bar", "a tag at the end"},
		{"foo{}{bar}", "foo{}{bar}", "nothing between the first braces: the whole key"},
		{"foo{{bar}}zap", "{bar", "up to the first closing brace"},
		{"foo{bar}{zap}", "bar", "only the first pair counts"},
		{"foo{bar", "foo{bar", "never closed: the whole key"},
		{"foo}bar{", "foo}bar{", "closed before it is opened: the whole key"},
		{"}{a}", "a", "an earlier closing brace does not matter"},
		{"{}", "{}", "an empty tag: the whole key"},
		{"{", "{", "a single brace"},
		{"", "", "the empty key"},
	} {
		if got := string(hashTag([]byte(c.key))); got != c.tag {
			t.Errorf("%s: tag of %q is %q, want %q", c.why, c.key, got, c.tag)
		}
		if got, want := SlotOf([]byte(c.key)), int(crc16([]byte(c.tag)))%Slots; got != want {
			t.Errorf("%s: SlotOf(%q) = %d, want %d", c.why, c.key, got, want)
		}
	}
}

// bitwiseCRC16 is the definition of the CRC, without a table.
func bitwiseCRC16(data []byte) uint16 {
	var crc uint16
	for _, b := range data {
		for bit := 7; bit >= 0; bit-- {
			in := uint16(b) >> bit & 1
			out := crc >> 15
			crc <<= 1
			if in != out {
				crc ^= 0x1021
			}
		}
	}
	return crc
}

func TestCRC16AgreesWithItsDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		if got, want := crc16(data), bitwiseCRC16(data); got != want {
			t.Fatalf("crc16(%x) = %#04x, want %#04x", data, got, want)
		}
	})
}

func TestKeysWithTheSameTagShareASlot(t *testing.T) {
	t.Parallel()
	noBrace := rapid.SliceOf(rapid.Byte().Filter(func(b byte) bool { return b != '{' && b != '}' }))
	rapid.Check(t, func(t *rapid.T) {
		tag := noBrace.Filter(func(b []byte) bool { return len(b) > 0 }).Draw(t, "tag")
		before := noBrace.Draw(t, "before")
		after := rapid.SliceOf(rapid.Byte()).Draw(t, "after")
		key := bytes.Join([][]byte{before, []byte("{"), tag, []byte("}"), after}, nil)
		if got, want := SlotOf(key), SlotOf(tag); got != want {
			t.Fatalf("SlotOf(%q) = %d, want the slot %d of its tag %q", key, got, want, tag)
		}
	})
}

func TestSlotOfDoesNotAllocate(t *testing.T) {
	key := []byte("{user1000}.following")
	if n := testing.AllocsPerRun(100, func() { SlotOf(key) }); n != 0 {
		t.Errorf("SlotOf allocates %v times", n)
	}
}

func BenchmarkSlotOf(b *testing.B) {
	for _, c := range []struct{ name, key string }{
		{"short", "user:1000"},
		{"tag", "{user1000}.following"},
		{"256B", string(bytes.Repeat([]byte("k"), 256))},
	} {
		b.Run(c.name, func(b *testing.B) {
			key := []byte(c.key)
			b.ReportAllocs()
			for b.Loop() {
				SlotOf(key)
			}
		})
	}
}
