package cmaf

import (
	"encoding/binary"
	"fmt"
)

// boxes reassembles top-level boxes from a byte stream that is split anywhere.
type boxes struct {
	pending []byte
}

// feed appends p to what is pending and calls handle with each box that is complete,
// header included. The bytes are valid only during the call.
func (b *boxes) feed(p []byte, handle func(name string, box []byte) error) error {
	b.pending = append(b.pending, p...)
	rest := b.pending
	for {
		name, size, err := boxHeader(rest)
		if err != nil {
			return err
		}
		if size == 0 || uint64(len(rest)) < size {
			break
		}
		if err := handle(name, rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	// Moving the rest to the front keeps one buffer in use, however long the stream.
	b.pending = b.pending[:copy(b.pending, rest)]
	return nil
}

// boxHeader reads the type and the size of the box at the head of p; size 0 means that
// more bytes are needed (ISO/IEC 14496-12, 4.2).
func boxHeader(p []byte) (name string, size uint64, err error) {
	if len(p) < 8 {
		return "", 0, nil
	}
	name = string(p[4:8])
	for _, c := range p[4:8] {
		if c < 0x20 || c > 0x7e {
			return "", 0, fmt.Errorf("this is no MP4 stream: a box is called %q", name)
		}
	}
	size = uint64(binary.BigEndian.Uint32(p))
	header := uint64(8)
	switch size {
	case 0:
		return "", 0, fmt.Errorf("a %s box without an end cannot be cut", name)
	case 1:
		if len(p) < 16 {
			return name, 0, nil
		}
		size, header = binary.BigEndian.Uint64(p[8:]), 16
	}
	limit := uint64(MaxBoxSize)
	if name == "moov" || name == "moof" || name == "ftyp" {
		limit = maxHeaderSize
	}
	if size < header || size > limit {
		return "", 0, fmt.Errorf("a %s box of %d bytes is outside of %d to %d bytes", name, size, header, limit)
	}
	return name, size, nil
}
