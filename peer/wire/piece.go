package wire

import "math/bits"

// An object is verified leaf by leaf and scheduled piece by piece: enough pieces for many neighbours to have something
// to give, few enough to keep announcements and decisions cheap.

// MaxPieceLeaves is the largest number of leaves in a piece.
const MaxPieceLeaves = 4

// PieceLeaves is the number of leaves in each piece of an object of n leaves; the last piece is what remains.
func PieceLeaves(n int) int { return min(max(n/16, 1), MaxPieceLeaves) }

// Pieces is the number of pieces of an object of n leaves.
func Pieces(n int) int {
	each := PieceLeaves(n)
	return (n + each - 1) / each
}

// PieceSpan is the first leaf of a piece and the number of its leaves, in an object of n leaves. The number is 0 for
// a piece that the object does not have.
func PieceSpan(piece, n int) (first, count int) {
	each := PieceLeaves(n)
	first = piece * each
	return first, max(min(each, n-first), 0)
}

// Wanted is an entry of a Request: a piece, and which of its leaves are wanted.
type Wanted uint16

// Want makes an entry. Bit i of the mask stands for the i-th leaf of the piece.
func Want(piece int, mask uint8) Wanted {
	return Wanted(piece<<MaxPieceLeaves | int(mask&(1<<MaxPieceLeaves-1)))
}

// Piece is the index of the piece.
func (w Wanted) Piece() int { return int(w >> MaxPieceLeaves) }

// Mask is the set of wanted leaves.
func (w Wanted) Mask() uint8 { return uint8(w & (1<<MaxPieceLeaves - 1)) }

// Within reports whether an object of n leaves has that piece, and the piece all of those leaves.
func (w Wanted) Within(n int) bool {
	_, count := PieceSpan(w.Piece(), n)
	return bits.Len8(w.Mask()) <= count && count > 0
}
