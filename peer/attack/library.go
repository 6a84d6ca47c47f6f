package attack

import (
	"slipstream/origin/manifest"
	"slipstream/peer/wire"
)

// keep is how many segments an attacker remembers: more than any viewer's playlist window would be of use to replay.
const keep = 24

// object is a segment, with everything that an honest holder would have.
type object struct {
	key    wire.Key
	record []byte // encoded
	list   []byte // leaf list, encoded
	data   []byte
}

func newObject(record manifest.Record, data []byte) *object {
	return &object{
		key: wire.KeyOf(record.Root), record: record.Encode(), data: data,
		list: manifest.EncodeLeaves(manifest.LeafHashes(data)),
	}
}

func (o *object) leaves() int { return manifest.LeafCount(int64(len(o.data))) }

func (o *object) pieces() int { return wire.Pieces(o.leaves()) }

// piece is the piece that a leaf belongs to.
func (o *object) piece(leaf int) uint16 { return uint16(leaf / wire.PieceLeaves(o.leaves())) }

func (o *object) leaf(leaf int) []byte {
	from := leaf * manifest.LeafSize
	return o.data[from:min(from+manifest.LeafSize, len(o.data))]
}

// library is the latest segments.
type library struct {
	byKey map[wire.Key]*object
	order []*object // oldest first
}

func (l *library) add(o *object) {
	if l.byKey[o.key] != nil {
		return
	}
	if len(l.order) == keep {
		delete(l.byKey, l.order[0].key)
		l.order = l.order[1:]
	}
	l.byKey[o.key], l.order = o, append(l.order, o)
}

func (l *library) len() int { return len(l.order) }

// newest returns up to n objects, newest first.
func (l *library) newest(n int) []*object {
	var out []*object
	for i := len(l.order) - 1; i >= 0 && len(out) < n; i-- {
		out = append(out, l.order[i])
	}
	return out
}
