package announce

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// fields are the members of one JSON object. The first thing that is wrong stays in err; after it the getters return
// zero values, so that the decoders read like lists of members.
type fields struct {
	raw map[string]json.RawMessage
	err error
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// get returns a member if its value begins like a value of the wanted kind: json.RawMessage has no leading space and
// is valid JSON, so the first byte tells the kind.
func (f *fields) get(name, first, kind string, required bool) json.RawMessage {
	v, ok := f.raw[name]
	if !ok {
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

func (f *fields) read(v json.RawMessage, name, kind string, into any) bool {
	if v == nil {
		return false
	}
	if err := json.Unmarshal(v, into); err != nil {
		f.fail(fmt.Errorf("%s is not %s", name, kind))
		return false
	}
	return true
}

func (f *fields) text(name string, required bool) (s string) {
	v := f.get(name, `"`, "a string", required)
	if v != nil && bytes.IndexByte(v, '\\') < 0 { // as nearly always: then it means what it says
		return string(v[1 : len(v)-1])
	}
	f.read(v, name, "a string", &s)
	return s
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

func (f *fields) list(name string, most int, required bool) (list []json.RawMessage) {
	f.read(f.get(name, "[", "a list", required), name, "a list", &list)
	if len(list) > most {
		f.fail(fmt.Errorf("%s has more than %d entries", name, most))
		return nil
	}
	return list
}

func (f *fields) texts(name string, most int) (out []string) {
	for _, v := range f.list(name, most, false) {
		entry := fields{raw: map[string]json.RawMessage{name: v}}
		out = append(out, entry.text(name, true))
		if entry.err != nil {
			f.fail(fmt.Errorf("%s holds something that is not a string", name))
			return nil
		}
	}
	return out
}

func (f *fields) object(name string) *fields {
	o := &fields{}
	f.read(f.get(name, "{", "an object", true), name, "an object", &o.raw)
	return o
}

func (f *fields) objects(name string, most int, required bool) (out []*fields) {
	for _, v := range f.list(name, most, required) {
		entry := fields{raw: map[string]json.RawMessage{name: v}}
		o := entry.object(name)
		if entry.err != nil {
			f.fail(fmt.Errorf("%s holds something that is not an object", name))
			return nil
		}
		out = append(out, o)
	}
	return out
}
