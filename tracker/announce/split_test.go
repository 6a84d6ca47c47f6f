package announce

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : [ 1 , "]" , {"b":[]} ] , "a":"\\\"}" }`, `{"\u0061":1,"a":2,"":-1.5e3,"😀":null}`, `[]`, `[true ,[[]],"",{}]`, `"{"`, `7`,
		`{"a":{"b":{"c":[[["}"]]]}},"d":false}`, "[\n1\t,\r2 ]", `{"\ud800":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxMessage || !json.Valid(b) || !utf8.Valid(b) {
			return
		}
		var object map[string]json.RawMessage
		isObject := json.Unmarshal(b, &object) == nil && object != nil
		cut := fieldsOf(b)
		if isObject != (cut.members != nil) {
			t.Fatalf("%s: an object is %v", b, isObject)
		}
		for _, m := range cut.members {
			if name := textOf(b[m.name-1 : m.nameEnd+1]); object[name] == nil {
				t.Errorf("%s has no %q", b, name)
			}
		}
		for name, value := range object {
			if got := cut.raw(name); string(got) != string(value) {
				t.Errorf("%s: %q is %s, want %s", b, name, got, value)
			}
		}
		var list []json.RawMessage
		if json.Unmarshal(b, &list) != nil {
			list = nil
		}
		entries := splitList(b)
		if len(entries) != len(list) {
			t.Fatalf("%s has %d entries, want %d", b, len(entries), len(list))
		}
		for i, e := range entries {
			if string(e) != string(list[i]) {
				t.Errorf("%s: entry %d is %s, want %s", b, i, e, list[i])
			}
		}
	})
}
