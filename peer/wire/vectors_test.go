package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// vectorFile is testdata/vectors.json, which explains itself under "about".
type vectorFile struct {
	About    []string `json:"about"`
	Pieces   [][4]int `json:"pieces"`
	Messages []vector `json:"messages"`
	Bundles  []vector `json:"bundles"`
	Invalid  []vector `json:"invalid"`
}

type vector struct {
	Name string `json:"name"`
	Hex  string `json:"hex"`
	Pad  struct {
		Byte  string `json:"byte"`
		Times int    `json:"times"`
	} `json:"pad"`
	Message  fields   `json:"message"`
	Messages []string `json:"messages"` // of a bundle: names of vectors
	Why      string   `json:"why"`
}

// fields are the fields of any message in their JSON form.
type fields struct {
	Type     string          `json:"type"`
	Version  uint8           `json:"version"`
	Channel  string          `json:"channel"`
	Flags    uint8           `json:"flags"`
	Instance string          `json:"instance"`
	Key      string          `json:"key"`
	Leaves   uint16          `json:"leaves"`
	Pieces   []uint16        `json:"pieces"`
	Wanted   [][2]int        `json:"wanted"` // piece, mask
	Bitfield string          `json:"bitfield"`
	Hashes   string          `json:"hashes"`
	Leaf     uint16          `json:"leaf"`
	Data     string          `json:"data"`
	Reason   json.RawMessage `json:"reason"`
}

func readVectors(t testing.TB) vectorFile {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%q is not hexadecimal: %v", s, err)
	}
	return b
}

func (v vector) pad(t testing.TB) []byte {
	return bytes.Repeat(unhex(t, v.Pad.Byte), v.Pad.Times)
}

func (v vector) bytes(t testing.TB) []byte {
	return append(unhex(t, v.Hex), v.pad(t)...)
}

// message builds the Go struct from the vector's JSON fields, independently of Decode.
func (v vector) message(t testing.TB) Message {
	t.Helper()
	f := v.Message
	data := func(s string) []byte {
		if s == "<pad>" {
			return v.pad(t)
		}
		return unhex(t, s)
	}
	key := func(s string) Key { return Key(unhex(t, s)) }
	parse := func(raw json.RawMessage, into any) {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	var reason uint8
	switch f.Type {
	case "HELLO":
		return Hello{Version: f.Version, Channel: key(f.Channel), Flags: f.Flags, Instance: Instance(key(f.Instance))}
	case "HAVE":
		return Have{Key: key(f.Key), Leaves: f.Leaves, Bitfield: data(f.Bitfield)}
	case "GAIN":
		return Gain{Key: key(f.Key), Pieces: f.Pieces}
	case "LOST":
		return Lost{Key: key(f.Key)}
	case "LEAVES":
		return Leaves{Key: key(f.Key), Hashes: data(f.Hashes)}
	case "REQUEST":
		var wanted []Wanted
		for _, w := range f.Wanted {
			wanted = append(wanted, Want(w[0], uint8(w[1])))
		}
		return Request{Key: key(f.Key), Flags: f.Flags, Wanted: wanted}
	case "LEAF":
		return Leaf{Key: key(f.Key), Leaf: f.Leaf, Data: data(f.Data)}
	case "CANCEL":
		return Cancel{Key: key(f.Key), Pieces: f.Pieces}
	case "REFUSE":
		parse(f.Reason, &reason)
		return Refuse{Key: key(f.Key), Reason: Reason(reason), Pieces: f.Pieces}
	case "BYE":
		var words string
		if v.Pad.Times == 0 {
			parse(f.Reason, &words)
		} else {
			words = string(v.pad(t))
		}
		return Bye{Reason: words}
	case "COMING":
		return Coming{Key: key(f.Key), Pieces: f.Pieces}
	case "ASK":
		return Ask{Key: key(f.Key)}
	case "RECORD":
		return Record{Key: key(f.Key), Data: data(f.Data)}
	}
	t.Fatalf("%q is not a message type", f.Type)
	return nil
}

func TestVectorsDecodeToTheirFieldsAndEncodeToTheirBytes(t *testing.T) {
	seen := map[Type]bool{}
	for _, v := range readVectors(t).Messages {
		t.Run(v.Name, func(t *testing.T) {
			raw, want := v.bytes(t), v.message(t)
			got, err := Decode(raw)
			if err != nil {
				t.Fatalf("a valid message is refused: %v", err)
			}
			if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); g != w {
				t.Errorf("decoded\n%s, want\n%s", g, w)
			}
			if got.Type().String() != v.Message.Type || raw[0] != byte(got.Type()) {
				t.Errorf("the type is %v, want %s", got.Type(), v.Message.Type)
			}
			if err := want.Check(); err != nil {
				t.Errorf("Check refuses a valid message: %v", err)
			}
			prefix := []byte("before")
			if enc := want.Append(prefix); !bytes.Equal(enc, append(prefix, raw...)) {
				t.Errorf("encodes to %x, want %x", enc[len(prefix):], raw)
			}
			seen[got.Type()] = true
		})
	}
	for kind := TypeHello; kind <= TypeRecord; kind++ {
		if !seen[kind] {
			t.Errorf("there is no vector for %v", kind)
		}
	}
}

func TestBundlesAreTakenApart(t *testing.T) {
	file := readVectors(t)
	byName := map[string]vector{}
	for _, v := range file.Messages {
		byName[v.Name] = v
	}
	for _, v := range file.Bundles {
		t.Run(v.Name, func(t *testing.T) {
			var names []string
			var refused error
			for m, err := range Unbundle(v.bytes(t)) {
				if refused = err; err != nil {
					break
				}
				if len(names) < len(v.Messages) {
					want := byName[v.Messages[len(names)]].message(t)
					if g, w := fmt.Sprintf("%#v", m), fmt.Sprintf("%#v", want); g != w {
						t.Errorf("decoded\n%s, want\n%s", g, w)
					}
				}
				names = append(names, m.Type().String())
			}
			if v.Why != "" {
				if !errors.Is(refused, ErrMessage) {
					t.Errorf("accepted as %v although: %s", names, v.Why)
				}
				return
			}
			if refused != nil || len(names) != len(v.Messages) {
				t.Errorf("got %v and %v, want %v", names, refused, v.Messages)
			}
		})
	}
}

func TestObjectsAreCutIntoPiecesAsTheVectorsSay(t *testing.T) {
	for _, v := range readVectors(t).Pieces {
		n, each, pieces, last := v[0], v[1], v[2], v[3]
		if PieceLeaves(n) != each || Pieces(n) != pieces {
			t.Errorf("%d leaves: %d pieces of %d, want %d of %d", n, Pieces(n), PieceLeaves(n), pieces, each)
		}
		if first, count := PieceSpan(pieces-1, n); first != (pieces-1)*each || count != last {
			t.Errorf("%d leaves: the last piece is %d leaves from %d, want %d", n, count, first, last)
		}
		if _, count := PieceSpan(pieces, n); count != 0 {
			t.Errorf("%d leaves: there is a piece after the last, of %d leaves", n, count)
		}
		all := uint8(1<<last - 1)
		if !Want(pieces-1, all).Within(n) || Want(pieces, 1).Within(n) || last < MaxPieceLeaves && Want(pieces-1, 1<<last).Within(n) {
			t.Errorf("%d leaves: a request for the last piece is judged wrongly", n)
		}
	}
}

func TestInvalidVectorsAreRefusedWithASentence(t *testing.T) {
	for _, v := range readVectors(t).Invalid {
		t.Run(v.Name, func(t *testing.T) {
			m, err := Decode(v.bytes(t))
			if err == nil {
				t.Fatalf("accepted as %#v although: %s", m, v.Why)
			}
			if !errors.Is(err, ErrMessage) || m != nil {
				t.Errorf("got %#v and %v, want nothing and an ErrMessage", m, err)
			}
			if v.Why == "" {
				t.Error("the vector does not say why it is invalid")
			}
		})
	}
}

// TestProtocolExamplesAreVectors holds ../PROTOCOL.md to the vectors: its blocks marked "example" have lines of a
// vector's name and its bytes, spaced for reading, and every kind of message has one.
func TestProtocolExamplesAreVectors(t *testing.T) {
	text, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]vector{}
	file := readVectors(t)
	for _, v := range append(append(file.Messages, file.Bundles...), file.Invalid...) {
		byName[v.Name] = v
	}
	seen := map[string]bool{}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inside = line == "```example"
			continue
		}
		if !inside {
			continue
		}
		name, spaced, _ := strings.Cut(line, " ")
		v, ok := byName[name]
		if !ok {
			t.Errorf("PROTOCOL.md shows %q, which is not a vector", name)
			continue
		}
		if got := strings.ReplaceAll(spaced, " ", ""); got != v.Hex {
			t.Errorf("PROTOCOL.md shows %s as %s, the vector is %s", name, got, v.Hex)
		}
		seen[v.Message.Type] = true
	}
	for kind := TypeHello; kind <= TypeRecord; kind++ {
		if !seen[kind.String()] {
			t.Errorf("PROTOCOL.md has no example of %v", kind)
		}
	}
}
