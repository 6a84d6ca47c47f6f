package manifest

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
)

func TestLeafArithmetic(t *testing.T) {
	for _, c := range []struct {
		size  int64
		count int
		last  int
	}{{0, 0, 0}, {1, 1, 1}, {16383, 1, 16383}, {16384, 1, 16384}, {16385, 2, 1}, {100_000, 7, 1696}, {MaxObjectSize, MaxLeaves, LeafSize}} {
		if got := LeafCount(c.size); got != c.count {
			t.Errorf("LeafCount(%d) = %d, want %d", c.size, got, c.count)
		}
		if got := LeafLength(c.size, c.count-1); got != c.last {
			t.Errorf("last leaf of %d bytes has %d, want %d", c.size, got, c.last)
		}
		if got := LeafLength(c.size, c.count); got != 0 {
			t.Errorf("leaf %d of %d bytes does not exist, yet has %d bytes", c.count, c.size, got)
		}
	}
}

// BEP 52: the leaf layer is filled up with zero hashes, not with hashes of zeros.
func TestRootPadsWithZeroHashes(t *testing.T) {
	leaves := LeafHashes(pattern(3 * LeafSize))
	var zero Hash
	want := pair(pair(leaves[0], leaves[1]), pair(leaves[2], zero))
	if got := Root(leaves); got != want {
		t.Errorf("root of three leaves = %s, want %s", got, want)
	}
	if one := LeafHashes(pattern(5)); Root(one) != Hash(sha256.Sum256(pattern(5))) {
		t.Error("the root of a single leaf is the hash of its unpadded bytes")
	}
	if Root(nil) != zero {
		t.Error("no leaves have no root")
	}
}

func TestHashText(t *testing.T) {
	h := Hash(sha256.Sum256([]byte("x")))
	back, err := ParseHash(h.String())
	if err != nil || back != h {
		t.Fatalf("ParseHash(%s) = %v, %v", h, back, err)
	}
	for _, bad := range []string{"", h.String()[:42], h.String() + "=", h.String() + "A", strings.Repeat("-", 42) + "B",
		h.String()[:20] + "\n" + h.String()[20:], "+" + h.String()[1:]} {
		if _, err := ParseHash(bad); err == nil {
			t.Errorf("ParseHash(%q) accepted it", bad)
		}
	}
}

// Whatever is changed about an object, the sentence says what, and where.
func TestObjectRefusals(t *testing.T) {
	data := pattern(100_000)
	s := newStage()
	rec := s.plain(number)
	rec.Root = Root(LeafHashes(data))
	rec = s.sign(rec)
	hashes := LeafHashes(data)
	if err := Object(rec, data); err != nil {
		t.Fatalf("the object itself is refused: %v", err)
	}
	if err := Leaves(rec, hashes); err != nil {
		t.Fatalf("the leaf list itself is refused: %v", err)
	}
	for i := range hashes {
		if err := Leaf(rec, hashes, i, data[i*LeafSize:min(len(data), (i+1)*LeafSize)]); err != nil {
			t.Fatalf("leaf %d itself is refused: %v", i, err)
		}
	}
	flipped := bytes.Clone(data)
	flipped[50_000] ^= 1
	otherHashes := append([]Hash(nil), hashes...)
	otherHashes[6][0] ^= 1

	for _, c := range []struct {
		name string
		err  error
		code Code
		says string
	}{
		{"one byte short", Object(rec, data[1:]), WrongSize, "99999 bytes where the record says 100000"},
		{"one bit flipped", Object(rec, flipped), WrongRoot, "bytes were changed"},
		{"leaf list short", Leaves(rec, hashes[1:]), WrongLeafList, "6 hashes where 7 belong"},
		{"leaf list changed", Leaves(rec, otherHashes), WrongRoot, "does not add up"},
		{"leaf changed", Leaf(rec, hashes, 3, flipped[3*LeafSize:4*LeafSize]), WrongLeaf, "leaf 3 was changed"},
		{"leaf in another's place", Leaf(rec, hashes, 2, data[3*LeafSize:4*LeafSize]), WrongLeaf, "leaf 2 was changed"},
		{"leaf short", Leaf(rec, hashes, 0, data[:100]), WrongLeaf, "leaf 0 has 100 bytes where 16384 belong"},
		{"leaf beyond the end", Leaf(rec, hashes, 7, data[:100]), WrongLeaf, "leaf 7 does not exist"},
		{"negative leaf", Leaf(rec, hashes, -1, nil), WrongLeaf, "leaf -1 does not exist"},
		{"leaf without list", Leaf(rec, nil, 0, data[:LeafSize]), WrongLeafList, "0 hashes where 7 belong"},
	} {
		assertRefusal(t, c.name, c.err, c.code, segmentPlace(number, "360p"), c.says)
	}
	if _, err := ParseLeaves(make([]byte, 33)); CodeOf(err) != WrongLeafList {
		t.Errorf("a leaf list of 33 bytes: %v", err)
	}
	if back, err := ParseLeaves(EncodeLeaves(hashes)); err != nil || Leaves(rec, back) != nil {
		t.Errorf("a leaf list does not survive its encoding: %v", err)
	}
}

// assertRefusal checks the code and that the sentence contains every given text.
func assertRefusal(t *testing.T, name string, err error, code Code, says ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: accepted, want a refusal with code %q", name, code)
		return
	}
	if CodeOf(err) != code {
		t.Errorf("%s: code %q, want %q (%v)", name, CodeOf(err), code, err)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", name, err, text)
		}
	}
}
