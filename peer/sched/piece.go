package sched

import "math/bits"

// Transfer and verification go by leaf, scheduling by piece: a piece is one to four
// leaves in a row, so that an object has 16 pieces or more where its size allows,
// and a large one costs no more messages and decisions than a small one.

// PieceLeaves is how many leaves a piece has of an object with that many; the last
// piece has what remains.
func PieceLeaves(leaves int32) int32 { return min(max(leaves/16, 1), 4) }

// Pieces is how many pieces an object with that many leaves has.
func Pieces(leaves int32) int32 {
	each := PieceLeaves(leaves)
	return (leaves + each - 1) / each
}

// Stripes is the number of stripes that an object's pieces are dealt into.
const Stripes = 16

// Stripe tells which stripe a piece belongs to. Stripes are contiguous blocks, so
// that one viewer's duty is one byte range, and rotate with the sequence number,
// so that over time everybody carries the same.
func Stripe(piece, pieces int32, sequence int64) int32 {
	return int32((int64(piece)*Stripes/int64(pieces) + sequence) % Stripes)
}

// set is a set of pieces, 32 to a word.
type set []uint32

func setWords(pieces int32) int32 { return (pieces + 31) / 32 }

func (s set) has(i int32) bool { return s[i>>5]>>(i&31)&1 != 0 }

func (s set) add(i int32) { s[i>>5] |= 1 << (i & 31) }

func (s set) remove(i int32) { s[i>>5] &^= 1 << (i & 31) }

// next is the first member from i on, −1 if there is none.
func (s set) next(i int32) int32 {
	for w := i >> 5; int(w) < len(s); w++ {
		word := s[w]
		if w == i>>5 {
			word &= ^uint32(0) << (i & 31)
		}
		if word != 0 {
			return w<<5 + int32(bits.TrailingZeros32(word))
		}
	}
	return -1
}

// bitfieldLen is the length of the Bits of a HAVE: BEP 3 order, piece 0 is the high
// bit of the first byte.
func bitfieldLen(pieces int32) int { return int(pieces+7) / 8 }

func hasBit(bits []byte, i int32) bool { return bits[i>>3]&(0x80>>(i&7)) != 0 }
