package announce

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// fields are the members of one JSON object. The first thing that is wrong stays in err; after it the getters return
// zero values, so that the decoders read like lists of members. Nothing of the input is kept: what they return is copied.
type fields struct {
	object  []byte
	members []member
	err     error
}

func fieldsOf(object []byte) *fields { return &fields{object: object, members: splitObject(object)} }

// raw is a member as it is written, the last of a name; nil if there is none.
func (f *fields) raw(name string) []byte {
	for i := len(f.members) - 1; i >= 0; i-- {
		if m := f.members[i]; f.is(m, name) {
			return f.object[m.value:m.valueEnd]
		}
	}
	return nil
}

// is tells whether a member has a name.
func (f *fields) is(m member, name string) bool {
	written := f.object[m.name:m.nameEnd]
	return string(written) == name || bytes.IndexByte(written, '\\') >= 0 && textOf(f.object[m.name-1:m.nameEnd+1]) == name
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// get returns a member if its value begins like a value of the wanted kind: it has no leading space and is valid JSON, so the first
// byte tells the kind.
func (f *fields) get(name, first, kind string, required bool) []byte {
	v := f.raw(name)
	if v == nil {
		if required {
			f.fail(fmt.Errorf("%s is missing", name))
		}
		return nil
	}
	for i := range len(first) {
		if v[0] == first[i] {
			return v
		}
	}
	f.fail(fmt.Errorf("%s is not %s", name, kind))
	return nil
}

func (f *fields) text(name string, required bool) string {
	if v := f.get(name, `"`, "a string", required); v != nil {
		return textOf(v)
	}
	return ""
}

func (f *fields) flag(name string, required bool) (b bool) {
	v := f.get(name, "tf", "true or false", required)
	return v != nil && v[0] == 't'
}

// integer goes by value, not by spelling (1.0 and 1e0 are 1), because that is all a JavaScript client can see.
func (f *fields) integer(name string, required bool) int64 {
	const kind = "an integer from 0 to 2^53 − 1"
	v := f.get(name, "-0123456789", kind, required)
	if v == nil {
		return 0
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if err != nil || x < 0 || x > MaxInteger || x != math.Trunc(x) {
		f.fail(fmt.Errorf("%s is not %s", name, kind))
		return 0
	}
	return int64(x)
}

func (f *fields) id(name string) PeerID {
	s := f.text(name, true)
	if f.err != nil {
		return 0
	}
	id, err := ParsePeerID(s)
	if err != nil {
		f.fail(fmt.Errorf("%s %w", name, err))
	}
	return id
}

func (f *fields) list(name string, most int, required bool) [][]byte {
	list := splitList(f.get(name, "[", "a list", required))
	if len(list) > most {
		f.fail(fmt.Errorf("%s has more than %d entries", name, most))
		return nil
	}
	return list
}

func (f *fields) texts(name string, most int) (out []string) {
	for _, v := range f.list(name, most, false) {
		if v[0] != '"' {
			f.fail(fmt.Errorf("%s holds something that is not a string", name))
			return nil
		}
		out = append(out, textOf(v))
	}
	return out
}

func (f *fields) inner(name string) *fields { return fieldsOf(f.get(name, "{", "an object", true)) }

func (f *fields) objects(name string, most int, required bool) (out []*fields) {
	for _, v := range f.list(name, most, required) {
		if v[0] != '{' {
			f.fail(fmt.Errorf("%s holds something that is not an object", name))
			return nil
		}
		out = append(out, fieldsOf(v))
	}
	return out
}
