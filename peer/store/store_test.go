package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"slipstream/origin/manifest"
	"slipstream/peer/wire"
)

// sample is an object as its owner made it.
type sample struct {
	record manifest.Record
	data   []byte
	hashes []manifest.Hash
}

func (s sample) key() wire.Key { return wire.KeyOf(s.record.Root) }

func (s sample) leaf(i int) []byte {
	start := i * manifest.LeafSize
	return s.data[start : start+manifest.LeafLength(int64(len(s.data)), i)]
}

// makeSample returns a segment of size bytes; equal arguments give equal bytes.
func makeSample(sequence int64, size int) sample {
	r := rand.New(rand.NewPCG(uint64(sequence), uint64(size)))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	hashes := manifest.LeafHashes(data)
	return sample{
		record: manifest.Record{
			Kind: manifest.KindSegment, Rendition: "360p", Sequence: sequence,
			Size: int64(size), Root: manifest.Root(hashes),
		},
		data: data, hashes: hashes,
	}
}

func makeInit(sequence int64) sample {
	s := makeSample(sequence, 700)
	s.record.Kind = manifest.KindInit
	return s
}

const segmentSize = 3*manifest.LeafSize + 100 // four leaves, the last one short

func mustAdd(t testing.TB, s *Store, samples ...sample) {
	t.Helper()
	for _, x := range samples {
		if err := s.Add(x.record); err != nil {
			t.Fatalf("Add of segment %d: %v", x.record.Sequence, err)
		}
	}
}

func mustPut(t testing.TB, s *Store, samples ...sample) {
	t.Helper()
	for _, x := range samples {
		if err := s.PutObject(x.key(), x.data); err != nil {
			t.Fatalf("PutObject of segment %d: %v", x.record.Sequence, err)
		}
	}
}

// expect checks that err is want, and that it blames the sender exactly if blame is set.
func expect(t *testing.T, what string, err, want error, blame bool) {
	t.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
	if Blame(err) != blame {
		t.Errorf("%s: Blame(%v) = %v, want %v", what, err, !blame, blame)
	}
}

func TestAnObjectArrivesLeafByLeaf(t *testing.T) {
	s, x := New(1<<20), makeSample(7, segmentSize)
	expect(t, "list of an unknown object", s.PutLeaves(x.key(), x.hashes), ErrUnknown, false)
	expect(t, "leaf of an unknown object", s.PutLeaf(x.key(), 0, x.leaf(0)), ErrUnknown, false)
	mustAdd(t, s, x)
	expect(t, "the same record again", s.Add(x.record), ErrDuplicate, false)
	expect(t, "leaf before the list", s.PutLeaf(x.key(), 0, x.leaf(0)), ErrNoList, false)
	if s.Listed(x.key()) {
		t.Error("an object without leaf list calls itself listed")
	}
	expect(t, "list", s.PutLeaves(x.key(), x.hashes), nil, false)
	expect(t, "list again", s.PutLeaves(x.key(), x.hashes), ErrDuplicate, false)

	for _, i := range []int{3, 0, 2} {
		expect(t, "leaf", s.PutLeaf(x.key(), i, x.leaf(i)), nil, false)
	}
	expect(t, "leaf again", s.PutLeaf(x.key(), 3, x.leaf(3)), ErrDuplicate, false)
	if got := s.Bitfield(x.key()); !bytes.Equal(got, wire.Bitfield{0b1011_0000}) {
		t.Errorf("the bitfield is %08b, want leaves 0, 2 and 3", got)
	}
	if s.Complete(x.key()) || s.Has(x.key(), 1) || !s.Has(x.key(), 2) {
		t.Error("leaf 1 is missing, 2 is not, so the object is not complete")
	}
	_, err := s.Leaf(x.key(), 1)
	expect(t, "reading a leaf not held", err, ErrMissing, false)
	_, err = s.Object(x.key())
	expect(t, "reading an object that is not complete", err, ErrMissing, false)

	expect(t, "the last leaf", s.PutLeaf(x.key(), 1, x.leaf(1)), nil, false)
	if got, err := s.Object(x.key()); err != nil || !bytes.Equal(got, x.data) || !s.Complete(x.key()) {
		t.Errorf("the complete object reads differently (%v)", err)
	}
	if got, err := s.Leaves(x.key()); err != nil || len(got) != 4 || got[2] != x.hashes[2] {
		t.Errorf("the leaf list reads as %v, %v", got, err)
	}
	if got, ok := s.Record(x.key()); !ok || got != x.record {
		t.Errorf("the record reads as %v", got)
	}
}

func TestWhatIsFalseIsRefusedAndItsSenderBlamed(t *testing.T) {
	x, other := makeSample(7, segmentSize), makeSample(8, segmentSize)
	flipped := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	falseHash := append([]manifest.Hash{}, x.hashes...)
	falseHash[1][31] ^= 0x80
	for name, put := range map[string]struct {
		do   func(*Store) error
		want error
	}{
		"list of another object":      {func(s *Store) error { return s.PutLeaves(x.key(), other.hashes) }, ErrBadList},
		"list with a false hash":      {func(s *Store) error { return s.PutLeaves(x.key(), falseHash) }, ErrBadList},
		"list cut short":              {func(s *Store) error { return s.PutLeaves(x.key(), x.hashes[:3]) }, ErrBadList},
		"list with zeros behind":      {func(s *Store) error { return s.PutLeaves(x.key(), append(x.hashes[:4:4], manifest.Hash{})) }, ErrBadList},
		"no list":                     {func(s *Store) error { return s.PutLeaves(x.key(), nil) }, ErrBadList},
		"leaf with a flipped bit":     {func(s *Store) error { return s.PutLeaf(x.key(), 1, flipped(x.leaf(1))) }, ErrBadLeaf},
		"leaf under another's number": {func(s *Store) error { return s.PutLeaf(x.key(), 0, x.leaf(1)) }, ErrBadLeaf},
		"leaf cut short":              {func(s *Store) error { return s.PutLeaf(x.key(), 1, x.leaf(1)[:100]) }, ErrBadLeaf},
		"last leaf padded":            {func(s *Store) error { return s.PutLeaf(x.key(), 3, make([]byte, manifest.LeafSize)) }, ErrBadLeaf},
		"empty leaf":                  {func(s *Store) error { return s.PutLeaf(x.key(), 0, nil) }, ErrBadLeaf},
		"leaf beyond the end":         {func(s *Store) error { return s.PutLeaf(x.key(), 4, x.leaf(1)) }, ErrBadLeaf},
		"leaf of negative number":     {func(s *Store) error { return s.PutLeaf(x.key(), -1, x.leaf(1)) }, ErrBadLeaf},
		"object with a flipped bit":   {func(s *Store) error { return s.PutObject(x.key(), flipped(x.data)) }, ErrBadObject},
		"object cut short":            {func(s *Store) error { return s.PutObject(x.key(), x.data[:len(x.data)-1]) }, ErrSize},
		"object with a byte behind":   {func(s *Store) error { return s.PutObject(x.key(), append(x.data[:len(x.data):len(x.data)], 0)) }, ErrSize},
	} {
		s := New(1 << 20)
		mustAdd(t, s, x)
		if put.want == ErrBadLeaf {
			expect(t, "the true list", s.PutLeaves(x.key(), x.hashes), nil, false)
		}
		used := s.Used()
		expect(t, name, put.do(s), put.want, true)
		if s.Bitfield(x.key()).Count() != 0 || s.Used() != used {
			t.Errorf("%s: it was refused, yet something was stored", name)
		}
	}
}

func TestASingleLeafNeedsNoList(t *testing.T) {
	s, x := New(1<<20), makeSample(1, 500)
	mustAdd(t, s, x)
	expect(t, "the leaf", s.PutLeaf(x.key(), 0, x.data), nil, false)
	if !s.Complete(x.key()) {
		t.Error("an object of one leaf is not complete with that leaf")
	}
}

func TestAWholeObjectNeedsNoListAndCompletesAPartialOne(t *testing.T) {
	s, x := New(1<<20), makeSample(1, segmentSize)
	mustAdd(t, s, x)
	expect(t, "list", s.PutLeaves(x.key(), x.hashes), nil, false)
	expect(t, "leaf", s.PutLeaf(x.key(), 2, x.leaf(2)), nil, false)
	early, err := s.Leaf(x.key(), 2)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "object", s.PutObject(x.key(), bytes.Clone(x.data)), nil, false)
	expect(t, "object again", s.PutObject(x.key(), x.data), ErrDuplicate, false)
	for i := range 4 {
		if leaf, err := s.Leaf(x.key(), i); err != nil || !bytes.Equal(leaf, x.leaf(i)) {
			t.Errorf("leaf %d reads differently (%v)", i, err)
		}
	}
	s.Remove(x.key())
	if !bytes.Equal(early, x.leaf(2)) {
		t.Error("a leaf that was read before changed when its object was completed and removed")
	}
}

func TestTheFullRootCountsNotOnlyTheKey(t *testing.T) {
	s, x := New(1<<20), makeSample(1, segmentSize)
	mustAdd(t, s, x)
	twin := x.record
	twin.Root[31] ^= 1
	expect(t, "another root with the same key", s.Add(twin), ErrCollision, false)
	resized := x.record
	resized.Size++
	expect(t, "the same root with another size", s.Add(resized), ErrCollision, false)
	if got, _ := s.Record(x.key()); got != x.record {
		t.Error("the first object was replaced")
	}
}

func TestImpossibleSizesAreRefused(t *testing.T) {
	s, x := New(1<<20), makeSample(1, segmentSize)
	for _, size := range []int64{0, -1, manifest.MaxObjectSize + 1} {
		x.record.Size = size
		expect(t, "an impossible size", s.Add(x.record), ErrSize, true)
	}
	x.record.Size = 1 << 20
	expect(t, "an object as large as the store", s.Add(x.record), ErrBudget, false)
	if s.Used() != 0 || len(s.Records()) != 0 {
		t.Errorf("the store counts %d bytes and lists %d objects", s.Used(), len(s.Records()))
	}
}

func sequences(records []manifest.Record) []int64 {
	list := []int64{}
	for _, r := range records {
		list = append(list, r.Sequence)
	}
	return list
}

func equal(a []int64, b ...int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestTheOldestGoesFirst(t *testing.T) {
	s := New(2*fullCost(segmentSize) + overhead)
	a, b, c, d := makeSample(10, segmentSize), makeSample(11, segmentSize), makeSample(12, segmentSize), makeSample(9, segmentSize)
	mustAdd(t, s, b, a)
	mustPut(t, s, b, a)
	if got := sequences(s.Records()); !equal(got, 10, 11) {
		t.Fatalf("Records lists %v, want the oldest first", got)
	}
	mustAdd(t, s, c)
	if got := s.Evicted(); len(got) != 0 {
		t.Fatalf("%v went although the budget had room", sequences(got))
	}
	mustPut(t, s, c)
	if got := sequences(s.Evicted()); !equal(got, 10) {
		t.Errorf("%v went, want the oldest, 10", got)
	}
	if s.Evicted() != nil {
		t.Error("an eviction is reported twice")
	}
	// Somebody seeks back: what is being written stays although it is the oldest now.
	mustAdd(t, s, d)
	mustPut(t, s, d)
	if got := sequences(s.Records()); !equal(got, 9, 12) || !s.Complete(d.key()) {
		t.Errorf("the store holds %v, want 9 and 12", got)
	}
	s.Remove(c.key())
	s.Remove(d.key())
	if s.Used() != 0 {
		t.Errorf("the empty store counts %d bytes", s.Used())
	}
}

func TestAnInitSectionOutlivesTheMediaThatNeedIt(t *testing.T) {
	init := makeInit(1)
	for name, initFirst := range map[string]bool{"init section first": true, "media first": false} {
		s := New(2*fullCost(segmentSize) + fullCost(700))
		var media []sample
		for n := int64(100); n < 104; n++ {
			x := makeSample(n, segmentSize)
			x.record.Init = init.record.Root
			media = append(media, x)
		}
		if initFirst {
			mustAdd(t, s, init, media[0])
		} else {
			mustAdd(t, s, media[0], init)
		}
		mustPut(t, s, init)
		for _, x := range media[1:] {
			mustAdd(t, s, x)
			mustPut(t, s, x)
		}
		if !s.Complete(init.key()) || !s.Complete(media[3].key()) || s.Complete(media[0].key()) {
			t.Errorf("%s: the store holds %v", name, sequences(s.Records()))
		}
	}
}

func TestASecondRecordForTheSameBytesRenewsThem(t *testing.T) {
	s := New(1 << 20)
	x, y := makeSample(10, segmentSize), makeSample(11, segmentSize)
	mustAdd(t, s, x, y)
	again := x.record
	again.Sequence = 12
	expect(t, "the same bytes in a later segment", s.Add(again), ErrDuplicate, false)
	if got := sequences(s.Records()); !equal(got, 11, 12) {
		t.Errorf("Records lists %v, want 11 and 12", got)
	}
}

func TestReadingDoesNotCopyAndWritingAllocatesOnce(t *testing.T) {
	s, x := New(1<<20), makeSample(1, segmentSize)
	mustAdd(t, s, x)
	expect(t, "list", s.PutLeaves(x.key(), x.hashes), nil, false)
	for i := range 4 {
		expect(t, "leaf", s.PutLeaf(x.key(), i, x.leaf(i)), nil, false)
	}
	object, _ := s.Object(x.key())
	leaf, _ := s.Leaf(x.key(), 1)
	if &leaf[0] != &object[manifest.LeafSize] || cap(leaf) != len(leaf) {
		t.Error("a leaf is not a capped part of its object's buffer")
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Leaf(x.key(), 1); _, _ = s.Object(x.key()) }); n != 0 {
		t.Errorf("reading allocates %v times", n)
	}
}

func TestEvictedIsBounded(t *testing.T) {
	s := New(2 * overhead * 4)
	for n := range int64(maxEvicted + 100) {
		mustAdd(t, s, makeSample(n, 10))
	}
	if got := s.Evicted(); len(got) != maxEvicted || got[len(got)-1].Sequence < maxEvicted {
		t.Errorf("%d evictions are remembered, want the last %d", len(got), maxEvicted)
	}
}
