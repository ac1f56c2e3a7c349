package kv

import "testing"

func TestIntegersAreCanonical(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"0": true, "-1": true, "9223372036854775807": true, "-9223372036854775808": true,
		"9223372036854775808": false, "": false, "+1": false, " 1": false, "01": false, "-0": false, "1.0": false,
		"1e3": false, "1_000": false,
	} {
		if _, got := ParseInt([]byte(text)); got != ok {
			t.Errorf("%q: %v, want %v", text, got, ok)
		}
	}
}

// The sums were asked of Redis 7.0 with INCRBYFLOAT.
func TestFloatsAddAsInRedis(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ x, y, want string }{
		{"10.50", "0.1", "10.6"},
		{"5.0e3", "2.0e2", "5200"},
		{"0", "1e-17", "0.00000000000000001"},
		{"3", "-3", "0"},
		{"1", "-1.5", "-0.5"},
		{"0.1", "0.2", "0.3"},
		{"1e300", "1",
			"1000000000000000000008997324079559193870523944273290747938260082321265646596180935755849152083750497190350372508614274835903592556184672983913096260520748646287327135641843653294084255107606016789726652932370030551382947620994540294772781889620606179267611627097410650567187386105690089424915104006144"},
		{"123456789012345678", "0.5", "123456789012345678.5"},
	} {
		x, ok1 := ParseFloat([]byte(c.x))
		y, ok2 := ParseFloat([]byte(c.y))
		if !ok1 || !ok2 {
			t.Errorf("%s, %s: not taken for numbers", c.x, c.y)
			continue
		}
		if got, ok := AddFloat(x, y); !ok || string(got) != c.want {
			t.Errorf("%s + %s = %s, %v; want %s", c.x, c.y, got, ok, c.want)
		}
	}
	for _, bad := range []string{
		"", "x", ".", "e5", "1e", "1e99999", "inf", "nan", "0x10", "1 ", "--1", "1.2.3", "1e1e1", "3e-5116",
	} {
		if f, ok := ParseFloat([]byte(bad)); ok {
			t.Errorf("%q was read as %v", bad, f)
		}
	}
	huge, _ := ParseFloat([]byte("1e4932"))
	if _, ok := AddFloat(huge, huge); ok {
		t.Error("twice 1e4932 is larger than a long double")
	}
}
