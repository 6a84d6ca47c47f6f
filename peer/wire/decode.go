package wire

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Decode reads one message, which must fill b exactly. Errors wrap ErrMessage.
//
// Nothing large is copied: Leaf.Data, Leaves.Hashes, Have.Bitfield and Record.Data are parts of b, so they are good for
// as long as b is left alone, and changing them changes b. They have no spare capacity: appending to them does not write
// into b.
func Decode(b []byte) (Message, error) {
	m, rest, err := first(b)
	if err == nil && len(rest) != 0 {
		err = invalid(m.Type(), "has %d bytes too many", len(rest))
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Unbundle reads the messages of a bundle, which is what one binary message of the data channel carries, one after the
// other as Decode does. It ends at the first error.
func Unbundle(b []byte) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for more := true; more; more = len(b) > 0 {
			m, rest, err := first(b)
			if !yield(m, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// first reads the message that a bundle begins with, and returns what follows it.
func first(b []byte) (m Message, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, fmt.Errorf("%w: it is empty", ErrMessage)
	}
	if len(b) > MaxMessage {
		return nil, nil, fmt.Errorf("%w: it has %d bytes, allowed are %d", ErrMessage, len(b), MaxMessage)
	}
	r := reader{kind: Type(b[0]), rest: b[1:]}
	m = r.message()
	if r.err != nil {
		return nil, nil, r.err
	}
	if err := m.Check(); err != nil {
		return nil, nil, err
	}
	return m, r.rest, nil
}

// reader takes a message apart from the front. After the first error it yields zeros, and the error stays.
type reader struct {
	kind Type
	rest []byte
	err  error
}

func (r *reader) message() Message {
	switch r.kind {
	case TypeHello:
		return Hello{Version: r.u8(), Channel: r.key(), Flags: r.u8(), Instance: Instance(r.key())}
	case TypeHave:
		key, leaves := r.key(), r.u16()
		return Have{Key: key, Leaves: leaves, Bitfield: Bitfield(r.bytes(BitfieldLength(Pieces(int(leaves)))))}
	case TypeGain:
		return Gain{Key: r.key(), Pieces: entries[uint16](r)}
	case TypeLost:
		return Lost{Key: r.key()}
	case TypeLeaves:
		key, count := r.key(), int(r.u16())
		return Leaves{Key: key, Hashes: r.bytes(count * HashSize)}
	case TypeRequest:
		return Request{Key: r.key(), Flags: r.u8(), Wanted: entries[Wanted](r)}
	case TypeLeaf:
		return Leaf{Key: r.key(), Leaf: r.u16(), Data: r.all()}
	case TypeCancel:
		return Cancel{Key: r.key(), Pieces: entries[uint16](r)}
	case TypeRefuse:
		return Refuse{Key: r.key(), Reason: Reason(r.u8()), Pieces: entries[uint16](r)}
	case TypeBye:
		return Bye{Reason: string(r.bytes(int(r.u8())))}
	case TypeComing:
		return Coming{Key: r.key(), Pieces: entries[uint16](r)}
	case TypeAsk:
		return Ask{Key: r.key()}
	case TypeRecord:
		return Record{Key: r.key(), Data: r.bytes(int(r.u16()))}
	}
	r.err = fmt.Errorf("%w: 0x%02x is not a message type", ErrMessage, byte(r.kind))
	return nil
}

func (r *reader) bytes(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.err = invalid(r.kind, "ends early: %d bytes are missing", n-len(r.rest))
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) all() []byte { return r.bytes(len(r.rest)) }

func (r *reader) u8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) key() (k Key) {
	copy(k[:], r.bytes(len(k)))
	return k
}

// entries reads a count and that many entries. The count is checked before anything is allocated.
func entries[T ~uint16](r *reader) []T {
	count := int(r.u8())
	if r.err == nil && count > MaxBatch {
		r.err = invalid(r.kind, "names %d pieces, allowed are 1 to %d", count, MaxBatch)
	}
	b := r.bytes(2 * count)
	if len(b) == 0 {
		return nil
	}
	out := make([]T, count)
	for i := range out {
		out[i] = T(binary.BigEndian.Uint16(b[2*i:]))
	}
	return out
}
