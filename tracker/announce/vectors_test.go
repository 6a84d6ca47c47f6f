package announce

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// vector is one entry of testdata/vectors.json, which the TypeScript twin replays as well.
type vector struct {
	Name, Direction, Text, Canonical, Error string
	PadTo                                   int
}

func (v vector) bytes() []byte {
	return []byte(v.Text + strings.Repeat(" ", max(0, v.PadTo-len(v.Text))))
}

func readVectors(t testing.TB) (valid, invalid []vector) {
	t.Helper()
	var file struct{ Valid, Invalid []vector }
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Valid, file.Invalid
}

func TestValidVectorsDecodeAndEncodeToTheirCanonicalForm(t *testing.T) {
	valid, _ := readVectors(t)
	seen := map[string]bool{}
	for _, v := range valid {
		t.Run(v.Name, func(t *testing.T) {
			m, err := Decode(v.bytes())
			if err != nil {
				t.Fatal(err)
			}
			if up(m) != (v.Direction == "up") {
				t.Errorf("decoded to %T, but the vector's direction is %s", m, v.Direction)
			}
			out, err := Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, out, []byte(v.Canonical)) {
				t.Errorf("encoded to\n%s\nwant\n%s", out, v.Canonical)
			}
			if !strings.HasPrefix(string(out), `{"type":"`+m.Type()+`"`) {
				t.Errorf("the type is not first: %s", out)
			}
			again, err := Decode(out)
			if err != nil || !reflect.DeepEqual(m, again) {
				t.Errorf("decoded again to %#v, %v, want %#v", again, err, m)
			}
			seen[reflect.TypeOf(m).Name()] = true
		})
	}
	for _, m := range []Message{Join{}, Renew{}, SignalTo{}, Report{}, Leave{}, Welcome{}, Neighbour{}, Gone{}, SignalFrom{}, Duty{}, Cap{}, Error{}} {
		if name := reflect.TypeOf(m).Name(); !seen[name] {
			t.Errorf("no valid vector for %s", name)
		}
	}
}

func TestInvalidVectorsAreRefusedWithASentenceThatSaysWhy(t *testing.T) {
	_, invalid := readVectors(t)
	for _, v := range invalid {
		t.Run(v.Name, func(t *testing.T) {
			m, err := Decode(v.bytes())
			if err == nil {
				t.Fatalf("accepted as %#v", m)
			}
			if !strings.Contains(err.Error(), v.Error) {
				t.Errorf("refused with %q, want a sentence with %q", err, v.Error)
			}
			if !IsText(err.Error()) {
				t.Errorf("the sentence %q cannot be sent back", err)
			}
		})
	}
}

func up(m Message) bool {
	switch m.(type) {
	case Join, Renew, SignalTo, Report, Leave:
		return true
	}
	return false
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
