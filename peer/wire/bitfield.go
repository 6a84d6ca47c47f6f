package wire

import "math/bits"

// Bitfield is a set of an object's pieces (in HAVE) or leaves (in a store), in the order of BEP 3: index 0 is the highest
// bit of the first byte. Bits beyond the last index are zero.
type Bitfield []byte

// BitfieldLength is the length in bytes of a bitfield for n indices.
func BitfieldLength(n int) int { return (n + 7) / 8 }

// NewBitfield returns a bitfield for n indices, none set.
func NewBitfield(n int) Bitfield { return make(Bitfield, BitfieldLength(n)) }

// Has reports whether index i is set. Indices outside of the bitfield are not.
func (b Bitfield) Has(i int) bool {
	return i >= 0 && i < len(b)*8 && b[i/8]&(0x80>>(i%8)) != 0
}

// Set sets index i. Indices outside of the bitfield are ignored.
func (b Bitfield) Set(i int) {
	if i >= 0 && i < len(b)*8 {
		b[i/8] |= 0x80 >> (i % 8)
	}
}

// Count is the number of indices set.
func (b Bitfield) Count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
