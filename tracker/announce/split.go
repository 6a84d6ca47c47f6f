package announce

import (
	"bytes"
	"encoding/json"
)

// encoding/json takes a value apart by reflection, and copies each part. What is valid JSON can be cut where its parts end.

// member is where one of an object is: its name without the quotes, and its value. No message is longer than 64 KiB.
type member struct{ name, nameEnd, value, valueEnd uint16 }

// splitObject cuts valid JSON of at most 64 KiB into the members of an object; nil if it is something else.
func splitObject(b []byte) []member {
	i := space(b, 0)
	if i == len(b) || b[i] != '{' {
		return nil
	}
	members := make([]member, 0, 16)
	for i = space(b, i+1); b[i] != '}'; i = next(b, i) {
		nameEnd := valueEnd(b, i)
		value := space(b, space(b, nameEnd)+1) // after a colon
		end := valueEnd(b, value)
		members = append(members, member{uint16(i + 1), uint16(nameEnd - 1), uint16(value), uint16(end)})
		i = end
	}
	return members
}

// splitList cuts valid JSON into the entries of a list; nil if it is something else.
func splitList(b []byte) (entries [][]byte) {
	i := space(b, 0)
	if i == len(b) || b[i] != '[' {
		return nil
	}
	for i = space(b, i+1); b[i] != ']'; i = next(b, i) {
		end := valueEnd(b, i)
		entries = append(entries, b[i:end])
		i = end
	}
	return entries
}

// next goes from behind a member or an entry to the next one, or to the end.
func next(b []byte, i int) int {
	if i = space(b, i); b[i] == ',' {
		i = space(b, i+1)
	}
	return i
}

// space goes over white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// valueEnd is where the value ends that begins at i.
func valueEnd(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
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

// textOf is what a string says that is written like this.
func textOf(quoted []byte) (s string) {
	if bytes.IndexByte(quoted, '\\') < 0 { // as nearly always: then it means what it says
		return string(quoted[1 : len(quoted)-1])
	}
	if json.Unmarshal(quoted, &s) != nil {
		return "" // it is valid
	}
	return s
}
