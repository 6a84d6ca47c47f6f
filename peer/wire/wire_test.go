package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func FuzzDecode(f *testing.F) {
	file := readVectors(f)
	for _, v := range append(file.Messages, file.Invalid...) {
		f.Add(v.bytes(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		original := bytes.Clone(b)
		m, err := Decode(b)
		if err != nil {
			if m != nil || !errors.Is(err, ErrMessage) || err.Error() == "" {
				t.Fatalf("refused with %#v, %v", m, err)
			}
			return
		}
		if got := m.Append(nil); !bytes.Equal(got, original) {
			t.Fatalf("decodes to %#v, which encodes to %x instead of %x", m, got, original)
		}
		if !bytes.Equal(b, original) {
			t.Fatal("Decode changed its input")
		}
	})
}

func FuzzUnbundle(f *testing.F) {
	file := readVectors(f)
	for _, v := range append(append(file.Messages, file.Bundles...), file.Invalid...) {
		f.Add(v.bytes(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		refused := false
		for m, err := range Unbundle(b) {
			if refused {
				t.Fatal("something follows an error")
			}
			if refused = err != nil; refused {
				if m != nil || !errors.Is(err, ErrMessage) {
					t.Fatalf("refused with %#v, %v", m, err)
				}
				continue
			}
			again = m.Append(again)
		}
		if len(again) > len(b) || !bytes.Equal(again, b[:len(again)]) || !refused && len(again) < len(b) {
			t.Fatalf("the messages of %x encode to %x", b, again)
		}
	})
}

func TestDecodeDoesNotCopyLeafData(t *testing.T) {
	raw := Leaf{Leaf: 1, Data: []byte("data")}.Append(nil)
	m, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	data := m.(Leaf).Data
	if &data[0] != &raw[leafHeader] {
		t.Error("the leaf's data was copied")
	}
	if cap(data) != len(data) {
		t.Error("appending to the leaf's data would write behind it")
	}
}

func TestDecodeAllocatesLittle(t *testing.T) {
	raw := Leaf{Data: make([]byte, LeafSize)}.Append(nil)
	if n := testing.AllocsPerRun(100, func() { _, _ = Decode(raw) }); n > 1 {
		t.Errorf("decoding a leaf allocates %v times, want only the message itself", n)
	}
	buffer := make([]byte, 0, MaxMessage)
	leaf := Leaf{Data: make([]byte, LeafSize)}
	if n := testing.AllocsPerRun(100, func() { buffer = leaf.Append(buffer[:0]) }); n != 0 {
		t.Errorf("encoding a leaf into a large enough buffer allocates %v times", n)
	}
}

func TestMaxMessageIsAFullLeafListAndNoMore(t *testing.T) {
	longest := Leaves{Hashes: make([]byte, MaxListLeaves*HashSize)}
	if MaxListLeaves != 2048 || len(longest.Append(nil)) > MaxMessage {
		t.Errorf("a list of %d hashes takes %d bytes, allowed are %d", MaxListLeaves, len(longest.Append(nil)), MaxMessage)
	}
	longest.Hashes = make([]byte, (MaxListLeaves+1)*HashSize)
	if longest.Check() == nil || len(longest.Append(nil)) <= MaxMessage {
		t.Errorf("a list of %d hashes is not refused", MaxListLeaves+1)
	}
}

func TestCheckNamesTheBrokenLimit(t *testing.T) {
	many := make([]uint16, MaxBatch+1)
	for _, c := range []struct {
		m    Message
		want string
	}{
		{Hello{Version: 9}, "HELLO is of version 9, this program speaks version 2"},
		{Have{}, "HAVE speaks of an object of 0 leaves, allowed are 1 to 4096"},
		{Have{Leaves: 9, Bitfield: NewBitfield(8)}, "HAVE has a bitfield of 1 bytes, 9 pieces need 2"},
		{Have{Leaves: 41, Bitfield: Bitfield{0, 0, 1}}, "HAVE sets a bit of its bitfield beyond piece 20, the last"},
		{Gain{Pieces: many}, "GAIN names 65 pieces, allowed are 1 to 64"},
		{Leaves{Hashes: make([]byte, 33)}, "LEAVES has 33 bytes of hashes, not a multiple of 32"},
		{Leaves{}, "LEAVES carries 0 hashes, allowed are 1 to 2048"},
		{Request{}, "REQUEST names 0 pieces, allowed are 1 to 64"},
		{Request{Wanted: []Wanted{Want(3, 0)}}, "REQUEST wants no leaf of piece 3"},
		{Request{Wanted: []Wanted{Want(MaxPieces, 1)}}, "REQUEST names piece 1024, the highest allowed is 1023"},
		{Leaf{Data: make([]byte, LeafSize+1)}, "LEAF carries 16385 bytes, allowed are 1 to 16384"},
		{Cancel{Pieces: []uint16{MaxPieces}}, "CANCEL names piece 1024, the highest allowed is 1023"},
		{Refuse{Reason: 7, Pieces: []uint16{1}}, "REFUSE gives the unknown reason 7"},
		{Coming{}, "COMING names 0 pieces, allowed are 1 to 64"},
		{Record{Data: make([]byte, MaxRecord+1)}, "RECORD carries 1025 bytes, allowed are 1 to 1024"},
		{Bye{Reason: strings.Repeat("x", MaxReason+1)}, "BYE has a reason of 201 bytes, allowed are 200"},
		{Bye{Reason: "\xff"}, "BYE has a reason that is not UTF-8"},
	} {
		err := c.m.Check()
		if !errors.Is(err, ErrMessage) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%#v: got %v, want %q", c.m, err, c.want)
		}
	}
	if err := (Lost{}).Check(); err != nil {
		t.Errorf("LOST has nothing to be wrong: %v", err)
	}
}

func TestAByeIsCutToWhatFits(t *testing.T) {
	for given, want := range map[string]string{
		strings.Repeat("x", 300):        strings.Repeat("x", MaxReason),
		"x" + strings.Repeat("é", 300):  "x" + strings.Repeat("é", (MaxReason-1)/2), // never half a character
		"broken \xff\xfe":               "broken \uFFFD",
		strings.Repeat("\xff\x41", 200): strings.Repeat("\uFFFDA", MaxReason/4),
	} {
		m, err := Decode(Bye{Reason: given}.Append(nil))
		if err != nil || m != (Bye{Reason: want}) {
			t.Errorf("%q arrives as %#v, %v", given, m, err)
		}
	}
}

func TestBitfieldOrderIsThatOfBEP3(t *testing.T) {
	b := NewBitfield(10)
	if len(b) != 2 || b.Count() != 0 {
		t.Fatalf("a new bitfield for 10 leaves is %x", b)
	}
	for _, i := range []int{0, 9, -1, 16, 1 << 20} {
		b.Set(i)
	}
	if !bytes.Equal(b, []byte{0x80, 0x40}) || b.Count() != 2 {
		t.Errorf("leaves 0 and 9 make %x with %d set", b, b.Count())
	}
	for i := -3; i < 20; i++ {
		if got, want := b.Has(i), i == 0 || i == 9; got != want {
			t.Errorf("Has(%d) = %v", i, got)
		}
	}
}

func TestNamesForPeople(t *testing.T) {
	if got := KeyOf([32]byte{0xc0, 0xff, 0xee, 1, 2, 3, 4, 5, 6}).String(); got != "c0ffee0102030405" {
		t.Errorf("the key reads %s", got)
	}
	if got := Type(0x42).String(); got != "message type 0x42" {
		t.Errorf("an unknown type reads %s", got)
	}
}
