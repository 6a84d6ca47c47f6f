package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxInteger is the first integer that a JavaScript number may not tell from its neighbour.
const maxInteger = 1 << 53

// decoder reads big-endian fields; after the first failure it reads zeros and keeps the failure.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) take(n int) []byte {
	if d.err == nil && len(d.rest) < n {
		d.err = errors.New("it ends too early")
	}
	if d.err != nil {
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u8() int    { return int(d.take(1)[0]) }
func (d *decoder) u16() int   { return int(binary.BigEndian.Uint16(d.take(2))) }
func (d *decoder) u32() int64 { return int64(binary.BigEndian.Uint32(d.take(4))) }

func (d *decoder) u64(name string) int64 {
	v := binary.BigEndian.Uint64(d.take(8))
	if d.err == nil && v >= maxInteger {
		d.err = fmt.Errorf("its %s is 2^53 or more", name)
	}
	return int64(v)
}

func (d *decoder) hash() Hash { return Hash(d.take(32)) }

// name reads a length byte and that many bytes; its alphabet is checked by the caller.
func (d *decoder) name() string { return string(d.take(d.u8())) }

// finish returns the first failure, or that bytes are left over.
func (d *decoder) finish() error {
	if d.err == nil && len(d.rest) > 0 {
		d.err = fmt.Errorf("%d bytes follow its end", len(d.rest))
	}
	return d.err
}

// isName reports whether s has minLen to maxLen of the characters a-z, 0-9, - and _.
func isName(s string, minLen, maxLen int) bool {
	if len(s) < minLen || len(s) > maxLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func appendName(b []byte, s string) []byte {
	b = append(b, byte(len(s)))
	return append(b, s...)
}

func appendU64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }
