package manifest

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

const (
	// LeafSize is the unit in which objects are verified and exchanged, in bytes (BEP 52's block size).
	LeafSize = 16384
	// MaxObjectSize is the largest object a record may describe, in bytes.
	MaxObjectSize = 64 << 20
	// MaxLeaves is the number of leaves in the largest object.
	MaxLeaves = MaxObjectSize / LeafSize
)

// Hash is a SHA-256 value: a leaf hash, a root, a channel id, the hash of a record.
type Hash [sha256.Size]byte

// base64url without padding, refusing spare bits, so that a value has exactly one spelling.
var base64URL = base64.RawURLEncoding.Strict()

// String returns base64url without padding (43 characters).
func (h Hash) String() string { return base64URL.EncodeToString(h[:]) }

// IsZero reports whether h is all zero, which stands for "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseHash reads what String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := decodeBase64(s)
	if err != nil || len(b) != len(h) {
		return h, errors.New("a hash or channel id is 43 characters of base64url without padding")
	}
	copy(h[:], b)
	return h, nil
}

// decodeBase64 is strict where encoding/base64 is not: it skips line breaks inside the text.
func decodeBase64(s string) ([]byte, error) {
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' {
			return nil, base64.CorruptInputError(i)
		}
	}
	return base64URL.DecodeString(s)
}

// LeafCount returns how many leaves an object of size bytes has; 0 for an empty object, which no record describes.
func LeafCount(size int64) int {
	return int((size + LeafSize - 1) / LeafSize)
}

// LeafLength returns the length in bytes of leaf index of an object of size bytes, 0 if there is no such leaf.
// Every leaf but the last is full.
func LeafLength(size int64, index int) int {
	if index < 0 {
		return 0
	}
	return int(min(LeafSize, max(0, size-int64(index)*LeafSize)))
}

// LeafHashes returns the SHA-256 of each leaf of data, the last one unpadded.
func LeafHashes(data []byte) []Hash {
	hashes := make([]Hash, 0, LeafCount(int64(len(data))))
	for len(data) > 0 {
		n := min(LeafSize, len(data))
		hashes = append(hashes, sha256.Sum256(data[:n]))
		data = data[n:]
	}
	return hashes
}

// Root returns the root of the tree over leaf hashes: the layer is padded with zero hashes to a power of two,
// and an inner node is the SHA-256 of its two children (BEP 52). The root of one leaf is that leaf's hash. There
// is no tree without leaves: the root of none is the zero hash, which no signed object has.
func Root(leaves []Hash) Hash {
	if len(leaves) == 0 {
		return Hash{}
	}
	width := 1
	for width < len(leaves) {
		width *= 2
	}
	layer := make([]Hash, width)
	copy(layer, leaves)
	for ; width > 1; width /= 2 {
		for i := range width / 2 {
			layer[i] = pair(layer[2*i], layer[2*i+1])
		}
	}
	return layer[0]
}

func pair(left, right Hash) Hash {
	var both [2 * sha256.Size]byte
	copy(both[:], left[:])
	copy(both[sha256.Size:], right[:])
	return sha256.Sum256(both[:])
}

// EncodeLeaves returns the leaf list as it is served at "<segment URI>.leaves": the hashes one after another.
func EncodeLeaves(hashes []Hash) []byte {
	b := make([]byte, 0, len(hashes)*sha256.Size)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// ParseLeaves splits a leaf list. Whether it is the right one only Leaves can tell.
func ParseLeaves(b []byte) ([]Hash, error) {
	n := len(b) / sha256.Size
	if len(b)%sha256.Size != 0 || n == 0 || n > MaxLeaves {
		return nil, refuse(WrongLeafList, "the leaf list", "it has %d bytes; a leaf list is 1 to %d hashes of 32 bytes",
			len(b), MaxLeaves)
	}
	hashes := make([]Hash, n)
	for i := range hashes {
		copy(hashes[i][:], b[i*sha256.Size:])
	}
	return hashes, nil
}

// Leaves checks a leaf list against the record's root. Do this before trusting any of its hashes.
func Leaves(rec Record, hashes []Hash) error {
	if want := LeafCount(rec.Size); len(hashes) != want {
		return refuse(WrongLeafList, rec.place(), "the leaf list has %d hashes where %d belong", len(hashes), want)
	}
	if Root(hashes) != rec.Root {
		return refuse(WrongRoot, rec.place(), "the leaf list does not add up to the signed root")
	}
	return nil
}

// Leaf checks one leaf against a leaf list that Leaves has accepted.
func Leaf(rec Record, hashes []Hash, index int, data []byte) error {
	bad := func(format string, args ...any) error {
		e := refuse(WrongLeaf, rec.place(), format, args...)
		e.Leaf = index
		return e
	}
	if count := LeafCount(rec.Size); len(hashes) != count {
		return refuse(WrongLeafList, rec.place(), "the leaf list has %d hashes where %d belong", len(hashes), count)
	} else if index < 0 || index >= count {
		return bad("leaf %d does not exist; the last one is %d", index, count-1)
	}
	if want := LeafLength(rec.Size, index); len(data) != want {
		return bad("leaf %d has %d bytes where %d belong", index, len(data), want)
	}
	if sha256.Sum256(data) != hashes[index] {
		return bad("leaf %d was changed: its bytes do not match the signed tree", index)
	}
	return nil
}

// Object checks a whole object against its record.
func Object(rec Record, data []byte) error {
	if int64(len(data)) != rec.Size {
		return refuse(WrongSize, rec.place(), "it has %d bytes where the record says %d", len(data), rec.Size)
	}
	if Root(LeafHashes(data)) != rec.Root {
		return refuse(WrongRoot, rec.place(), "its bytes were changed: they do not add up to the signed root")
	}
	return nil
}
