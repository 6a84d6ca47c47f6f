package announce

import (
	"bytes"
	"encoding/json"
)

// encoding/json takes a value apart by reflection, and copies each part. What is valid JSON can be cut where it ends.

// member is one of an object, as it is written.
type member struct{ name, value []byte }

// splitObject cuts valid JSON into the members of an object, which it puts where there is room; nil if it is something else.
func splitObject(b []byte, room []member) []member {
	b = space(b)
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	members := room[:0]
	for b = space(b[1:]); b[0] != '}'; b = next(b) {
		end := valueEnd(b)
		name := b[1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = plain(b[:end])
		}
		b = space(space(b[end:])[1:]) // a colon
		end = valueEnd(b)
		members = append(members, member{name, b[:end]})
		b = b[end:]
	}
	return members
}

// splitList cuts valid JSON into the entries of a list; nil if it is something else.
func splitList(b []byte) (entries [][]byte) {
	b = space(b)
	if len(b) == 0 || b[0] != '[' {
		return nil
	}
	for b = space(b[1:]); b[0] != ']'; b = next(b) {
		end := valueEnd(b)
		entries = append(entries, b[:end])
		b = b[end:]
	}
	return entries
}

// next goes to the next member or entry, or to the end.
func next(b []byte) []byte {
	if b = space(b); b[0] == ',' {
		b = space(b[1:])
	}
	return b
}

// space leaves out white space.
func space(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// valueEnd is where the value that b begins with ends.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// plain is what a string with escapes says.
func plain(quoted []byte) []byte {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return nil // it is valid
	}
	return []byte(s)
}
