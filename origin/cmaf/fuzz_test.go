package cmaf_test

import "testing"

// FuzzCutter feeds arbitrary bytes: nothing may panic, numbers only grow, and the two
// ways to split the input agree.
func FuzzCutter(f *testing.F) {
	stream := recorded(f)
	init, fragments := split(f, stream)
	f.Add(stream[:4000], uint16(100))
	f.Add(init, uint16(1))
	f.Add(join(init, fragments[2], fragments[3][:800]), uint16(7))
	f.Add(fragments[0], uint16(3))
	f.Add([]byte("\x00\x00\x00\x01mdat\x00\x00\x00\x00\x00\x00\x00\x10"), uint16(9))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		if len(stream) > 1<<16 {
			return
		}
		got, err := cutAll(stream, whole)
		last := int64(-1)
		for _, s := range got {
			if s.Number <= last || s.DurationMs < 0 || s.DurationMs > 2000 || s.StartMs/2000 != s.Number || len(s.Data) == 0 || len(s.Init) == 0 {
				t.Fatalf("segment %d after %d: from %d ms for %d ms, %d bytes", s.Number, last, s.StartMs, s.DurationMs, len(s.Data))
			}
			last = s.Number
		}
		again, err2 := cutAll(stream, func() int { return int(piece%1000) + 1 })
		if len(again) != len(got) || (err == nil) != (err2 == nil) {
			t.Fatalf("in one piece %d segments and %v, in pieces of %d %d segments and %v", len(got), err, piece%1000+1, len(again), err2)
		}
	})
}

// inflict changes single bytes: each three bytes of damage are an offset and what is written there.
func inflict(damage, on []byte) {
	for ; len(damage) >= 3; damage = damage[3:] {
		on[(int(damage[0])<<8|int(damage[1]))%len(on)] = damage[2]
	}
}

// FuzzDamage changes single bytes of a real stream, which reaches deeper than bytes from
// nowhere.
func FuzzDamage(f *testing.F) {
	stream := recorded(f)
	f.Add([]byte{0, 60, 1})
	f.Add([]byte{4, 0xe0, 0xff, 5, 0x10, 0})
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, damage []byte) {
		damaged := join(stream)
		inflict(damage, damaged)
		got, _ := cutAll(damaged, whole)
		last := int64(-1)
		for _, s := range got {
			if s.Number <= last || s.DurationMs < 0 || s.DurationMs > 2000 || s.StartMs/2000 != s.Number {
				t.Fatalf("segment %d after %d: from %d ms for %d ms", s.Number, last, s.StartMs, s.DurationMs)
			}
			last = s.Number
		}
	})
}
