package webtorrent

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
)

// scanner walks over JSON (RFC 8259) without building anything: announces are mostly session descriptions, which are
// passed on as they came. Its methods return false where the bytes are not JSON.
type scanner struct {
	b []byte
	i int
}

// next skips white space and returns the byte there, 0 at the end.
func (s *scanner) next() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.i++
	return true
}

// item moves to the n-th item of an object or list, or past its end; more tells which.
func (s *scanner) item(n int, end byte) (more, ok bool) {
	if s.take(end) {
		return false, true
	}
	return true, n == 0 || s.take(',')
}

// member reads the name of the n-th member of an object, if there are so many.
func (s *scanner) member(n int) (name []byte, more, ok bool) {
	if more, ok = s.item(n, '}'); !more || !ok {
		return nil, false, ok
	}
	quoted, ok := s.text()
	if !ok || !s.take(':') {
		return nil, false, false
	}
	return unquote(quoted), true, true
}

// value passes over any value and returns its bytes.
func (s *scanner) value(depth int) ([]byte, bool) {
	first := s.next()
	start := s.i
	ok := false
	switch first {
	case '"':
		_, ok = s.text()
	case '{':
		ok = s.object(depth)
	case '[':
		ok = s.list(depth)
	case 't':
		ok = s.literal("true")
	case 'f':
		ok = s.literal("false")
	case 'n':
		ok = s.literal("null")
	default:
		ok = s.number()
	}
	return s.b[start:s.i], ok
}

func (s *scanner) object(depth int) bool {
	if depth == 0 || !s.take('{') {
		return false
	}
	for n := 0; ; n++ {
		_, more, ok := s.member(n)
		if !more || !ok {
			return ok
		}
		if _, ok := s.value(depth - 1); !ok {
			return false
		}
	}
}

func (s *scanner) list(depth int) bool {
	if depth == 0 || !s.take('[') {
		return false
	}
	for n := 0; ; n++ {
		more, ok := s.item(n, ']')
		if !more || !ok {
			return ok
		}
		if _, ok := s.value(depth - 1); !ok {
			return false
		}
	}
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

func (s *scanner) number() bool {
	if s.at('-') {
		s.i++
	}
	if s.at('0') {
		s.i++
	} else if !s.digits() {
		return false
	}
	if s.at('.') {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if s.at('e') || s.at('E') {
		s.i++
		if s.at('+') || s.at('-') {
			s.i++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > start
}

// text reads a string and returns it with its quotes, as it came.
func (s *scanner) text() (quoted []byte, ok bool) {
	if s.next() != '"' {
		return nil, false
	}
	b, start, i := s.b, s.i, s.i+1
	for i < len(b) {
		for len(b)-i >= 8 {
			if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
				i += bits.TrailingZeros64(found) >> 3
				break
			}
			i += 8
		}
		if i == len(b) {
			break
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return b[start:s.i], true
		case c == '\\':
			n := escape(b[i:])
			if n == 0 {
				return nil, false
			}
			i += n
		case c < ' ':
			return nil, false
		default:
			i++
		}
	}
	return nil, false
}

// special marks, among eight bytes, those that end a string's plain part: the lowest set bit is the highest of the first
// such byte (Mycroft's test for zero bytes; bits above the first may be wrong).
func special(w uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, backslash := w^ones*'"', w^ones*'\\'
	return ((w-ones*' ')&^w | (quote-ones)&^quote | (backslash-ones)&^backslash) & highs
}

// escape is the length of the escape sequence that b begins with, 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if nibble(c) > 15 {
				return 0
			}
		}
		return 6
	}
	return 0
}

// nibble is a hexadecimal digit's value, 255 if it is none.
func nibble(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// unquote is what a string that was scanned says. Names and words are plain in practice.
func unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	for _, c := range inner {
		if c == '\\' {
			var s string
			if json.Unmarshal(quoted, &s) != nil {
				return nil
			}
			return []byte(s)
		}
	}
	return inner
}

// binary20 reads a string of 20 characters from U+0000 to U+00FF as bytes.
func binary20(quoted []byte) (id [20]byte, ok bool) {
	none := id
	if len(quoted) < 2 || quoted[0] != '"' {
		return none, false
	}
	inner, n := quoted[1:len(quoted)-1], 0
	for i := 0; i < len(inner); n++ {
		if n == len(id) {
			return none, false
		}
		c := inner[i]
		switch {
		case c == '\\':
			length := escape(inner[i:])
			if length == 6 {
				if inner[i+2] != '0' || inner[i+3] != '0' {
					return none, false
				}
				c = nibble(inner[i+4])<<4 | nibble(inner[i+5])
			} else {
				c = unescaped(inner[i+1])
			}
			i += length
		case c < 0x80:
			i++
		case c <= 0xc3: // UTF-8 of U+0080 to U+00FF; Decode has checked that it is UTF-8
			c = c<<6 | inner[i+1]&0x3f
			i += 2
		default:
			return none, false
		}
		id[n] = c
	}
	if n < len(id) {
		return none, false
	}
	return id, true
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // a quote, a backslash or a slash
}
