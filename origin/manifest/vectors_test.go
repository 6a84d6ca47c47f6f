package manifest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"os"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/vectors.json anew; commit only changes that you understand")

const vectorsFile = "testdata/vectors.json"

// vectors hold the two languages to one behaviour. Bytes are base64url without padding, integers are JSON numbers
// below 2^53. An empty code means accepted. Sentences are there to be read; only codes must agree.
type vectors struct {
	About       string             `json:"about"`
	LeafSize    int                `json:"leafSize"`
	Generator   string             `json:"generator"`
	Channel     string             `json:"channel"`
	Trees       []treeVector       `json:"trees"`
	Records     []recordVector     `json:"records"`
	Delegations []delegationVector `json:"delegations"`
	Objects     []objectVector     `json:"objects"`
	Playlists   []playlistVector   `json:"playlists"`
	News        []playlistVector   `json:"news"`     // likewise, with records that come alone
	Parts       []playlistVector   `json:"parts"`    // likewise, of parts: accepted are 64 · number + index of each
	Patterns    []patternVector    `json:"patterns"` // where the next segment will be

	PartPatterns []partPatternVector `json:"partPatterns"` // likewise, the next part
}

type treeVector struct {
	Size   int      `json:"size"`
	Leaves []string `json:"leaves"`
	Root   string   `json:"root"` // "" where there is no tree
}

type recordVector struct {
	Name       string        `json:"name"`
	Bytes      string        `json:"bytes"`
	Code       Code          `json:"code"`
	Sentence   string        `json:"sentence,omitempty"`
	Fields     *recordFields `json:"fields,omitempty"`
	Hash       string        `json:"hash,omitempty"`
	SigningKey string        `json:"signingKey,omitempty"` // public key to check the signature with
	Genuine    bool          `json:"genuine"`              // whether that key signed it for the channel
}

type recordFields struct {
	Kind       Kind   `json:"kind"`
	Session    int64  `json:"session"`
	Variant    uint32 `json:"variant"`
	Rendition  string `json:"rendition"`
	Sequence   int64  `json:"sequence"`
	Part       int    `json:"part"`
	StartMs    int64  `json:"startMs"`
	DurationMs int64  `json:"durationMs"`
	Size       int64  `json:"size"`
	Root       string `json:"root"`
	Init       string `json:"init"`
	Previous   string `json:"previous"`
	CreatedMs  int64  `json:"createdMs"`
	Key        string `json:"key"` // 16 hexadecimal digits
}

type delegationVector struct {
	Name     string            `json:"name"`
	Bytes    string            `json:"bytes"`
	Code     Code              `json:"code"` // of parsing, or else of checking against the channel
	Sentence string            `json:"sentence,omitempty"`
	Fields   *delegationFields `json:"fields,omitempty"`
}

type delegationFields struct {
	RootKey       string `json:"rootKey"`
	SigningKey    string `json:"signingKey"`
	Key           string `json:"key"`
	Region        string `json:"region"`
	FirstSequence int64  `json:"firstSequence"`
	LastSequence  int64  `json:"lastSequence"`
	NotBeforeMs   int64  `json:"notBeforeMs"`
	NotAfterMs    int64  `json:"notAfterMs"`
}

// objectVector checks an object made by the generator, its leaf list, or one leaf of it.
type objectVector struct {
	Name     string `json:"name"`
	Record   string `json:"record"`
	Check    string `json:"check"`    // "object", "leaves" or "leaf"
	Size     int    `json:"size"`     // bytes to generate
	Flip     int    `json:"flip"`     // the byte whose lowest bit is flipped, -1 for none
	Drop     int    `json:"drop"`     // leaf hashes, or for object and leaf bytes, dropped from the end
	Leaf     int    `json:"leaf"`     // index for "leaf"; its bytes are those of leaf From
	From     int    `json:"from"`     //
	Code     Code   `json:"code"`     //
	Sentence string `json:"sentence"` //
}

type playlistVector struct {
	Name      string       `json:"name"`
	Channel   string       `json:"channel"`
	Rendition string       `json:"rendition"`
	Polls     []pollVector `json:"polls"` // told to one verifier, in order
}

type pollVector struct {
	Text     string  `json:"text"`
	Record   string  `json:"record,omitempty"` // instead of a playlist
	NowMs    int64   `json:"nowMs"`
	Code     Code    `json:"code"`
	Sentence string  `json:"sentence,omitempty"`
	Accepted []int64 `json:"accepted"` // numbers of the segments that come out
}

func b64(b []byte) string { return base64URL.EncodeToString(b) }

func sentence(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func buildVectors() vectors {
	s := newStage()
	v := vectors{
		About:     "Shared by the Go and the TypeScript tests of manifest. Made by: go test ./origin/manifest -run TestVectors -rewrite",
		LeafSize:  LeafSize,
		Generator: "byte i = (i*7 + 13 + floor(i/251)) & 255",
		Channel:   s.channel.String(),
	}
	for _, size := range []int{0, 1, 16383, 16384, 16385, 32768, 32769, 100_000, 131_072, 200_000} {
		tree := treeVector{Size: size, Leaves: []string{}}
		hashes := LeafHashes(pattern(size))
		for _, h := range hashes {
			tree.Leaves = append(tree.Leaves, h.String())
		}
		if size > 0 {
			tree.Root = Root(hashes).String()
		}
		v.Trees = append(v.Trees, tree)
	}
	v.Records = recordVectors(s)
	v.Delegations = delegationVectors(s)
	v.Objects = objectVectors(s)
	for _, sc := range append(accepted(), refused()...) {
		v.Playlists = append(v.Playlists, sc.vector())
	}
	v.Playlists = append(v.Playlists, unreadable(s)...)
	for _, sc := range news() {
		v.News = append(v.News, sc.vector())
	}
	for _, sc := range partStories() {
		v.Parts = append(v.Parts, sc.told(tellParts))
	}
	v.Patterns = patterns()
	v.PartPatterns = partPatterns()
	return v
}

func recordVectors(s *stage) []recordVector {
	var out []recordVector
	add := func(name string, b []byte) {
		rec, err := ParseRecord(b)
		vec := recordVector{Name: name, Bytes: b64(b), Code: CodeOf(err), Sentence: sentence(err)}
		if err == nil {
			vec.Fields = &recordFields{
				rec.Kind, rec.Session, rec.Variant, rec.Rendition, rec.Sequence, rec.Part, rec.StartMs, rec.DurationMs, rec.Size,
				rec.Root.String(), rec.Init.String(), rec.Previous.String(), rec.CreatedMs, rec.Key.String(),
			}
			vec.Hash = rec.Hash().String()
			vec.SigningKey = b64(s.delegation.SigningKey[:])
			vec.Genuine = rec.SignedBy(s.channel, s.delegation.SigningKey)
		}
		out = append(out, vec)
	}
	segment := s.segment(number)
	part := s.plain(number + 1)
	part.Kind, part.Part, part.DurationMs, part.Variant = KindPart, 65535, 500, 0xffffffff
	extreme := s.plain(maxInteger - 1)
	extreme.Rendition, extreme.Size, extreme.DurationMs = "a_name-with-exactly-32-characters"[:32], MaxObjectSize, 0xffffffff
	extreme.StartMs, extreme.CreatedMs, extreme.Session = maxInteger-1, maxInteger-1, 0
	add("an init section", s.init.Encode())
	add("a segment", segment.Encode())
	add("a part", s.sign(part).Encode())
	add("greatest values", s.sign(extreme).Encode())
	forged := segment
	forged.Size++
	add("a changed size", forged.Encode())
	add("another channel's", must(SignRecord(segment, Hash{1}, s.signing)).Encode())
	add("another key's", must(SignRecord(segment, s.channel, keyFrom("stranger"))).Encode())
	good := segment.Encode()
	put := func(at int, value ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], value)
		return b
	}
	add("nothing", nil)
	add("one byte short", good[:len(good)-1])
	add("one byte long", append(bytes.Clone(good), 0))
	add("version 2", put(0, 2))
	add("kind 3", put(1, 3))
	add("session 2^53", put(2, 0, 0x20, 0, 0, 0, 0, 0, 0))
	add("sequence 2^63", put(19, 0x80))
	add("no rendition", put(14, 0))
	add("rendition in capitals", put(15, 'A'))
	add("part number of a segment", put(27, 0, 1))
	add("no duration", put(37, 0, 0, 0, 0))
	add("no size", put(41, 0, 0, 0, 0))
	add("more than 64 MiB", put(41, 4, 0, 0, 1))
	add("no root", put(45, make([]byte, 32)...))
	add("no init section", put(77, make([]byte, 32)...))
	add("an init section with a duration", put(1, 0))
	chained := s.init.Encode()
	chained[109] = 1 // the first byte of previous
	add("an init section with a predecessor", chained)
	return out
}

func delegationVectors(s *stage) []delegationVector {
	var out []delegationVector
	add := func(name string, b []byte) {
		d, err := ParseDelegation(b)
		vec := delegationVector{Name: name, Bytes: b64(b)}
		if err == nil {
			vec.Fields = &delegationFields{b64(d.RootKey[:]), b64(d.SigningKey[:]), d.Key().String(), d.Region,
				d.FirstSequence, d.LastSequence, d.NotBeforeMs, d.NotAfterMs}
			err = d.Verify(s.channel)
		}
		vec.Code, vec.Sentence = CodeOf(err), sentence(err)
		out = append(out, vec)
	}
	good := s.delegation.Encode()
	put := func(at int, value ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], value)
		return b
	}
	add("a delegation", good)
	add("no region, 24 hours", s.appoint(s.signing, func(d *Delegation) {
		d.Region, d.NotAfterMs = "", d.NotBeforeMs+MaxDelegationMs
	}).Encode())
	stranger := must(SignDelegation(s.delegation, keyFrom("stranger")))
	add("another channel's", stranger.Encode())
	copy(stranger.RootKey[:], s.root.Public().(ed25519.PublicKey))
	add("signed by a stranger", stranger.Encode())
	add("a changed range", put(77, good[77]^1))
	add("nothing", nil)
	add("one byte short", good[:len(good)-1])
	add("one byte long", append(bytes.Clone(good), 0))
	add("version 9", put(0, 9))
	add("a region of 17 bytes", append(append(bytes.Clone(good[:65]), append([]byte{17}, bytes.Repeat([]byte{'a'}, 17)...)...), good[70:]...))
	add("a region with a space", put(66, ' '))
	add("first sequence 2^60", put(70, 0x10))
	add("last before first", put(78, make([]byte, 8)...))
	add("ends before it begins", put(94, make([]byte, 8)...))
	add("longer than 24 hours", put(94, 0, 0x10))
	return out
}

func objectVectors(s *stage) []objectVector {
	plain := s.plain(number)
	plain.Root = Root(LeafHashes(pattern(100_000)))
	rec := s.sign(plain)
	var out []objectVector
	for _, o := range []objectVector{
		{Name: "the object", Check: "object", Size: 100_000, Flip: -1},
		{Name: "the object, one bit flipped", Check: "object", Size: 100_000, Flip: 99_999},
		{Name: "the object, cut short", Check: "object", Size: 100_000, Flip: -1, Drop: 1},
		{Name: "the object, too long", Check: "object", Size: 100_001, Flip: -1},
		{Name: "the leaf list", Check: "leaves", Size: 100_000, Flip: -1},
		{Name: "the leaf list of changed bytes", Check: "leaves", Size: 100_000, Flip: 0},
		{Name: "the leaf list, cut short", Check: "leaves", Size: 100_000, Flip: -1, Drop: 1},
		{Name: "the first leaf", Check: "leaf", Size: 100_000, Flip: -1},
		{Name: "the last leaf", Check: "leaf", Size: 100_000, Flip: -1, Leaf: 6, From: 6},
		{Name: "a leaf, one bit flipped", Check: "leaf", Size: 100_000, Flip: 20_000, Leaf: 1, From: 1},
		{Name: "a leaf, cut short", Check: "leaf", Size: 100_000, Flip: -1, Drop: 1, Leaf: 2, From: 2},
		{Name: "a leaf in another's place", Check: "leaf", Size: 100_000, Flip: -1, Leaf: 2, From: 3},
		{Name: "a leaf beyond the end", Check: "leaf", Size: 100_000, Flip: -1, Leaf: 7, From: 6},
	} {
		o.Record = b64(rec.Encode())
		err := o.run()
		o.Code, o.Sentence = CodeOf(err), sentence(err)
		out = append(out, o)
	}
	return out
}

// run does what the vector describes; the leaf list that "leaf" uses is always the right one.
func (o objectVector) run() error {
	rec := must(ParseRecord(must(decodeBase64(o.Record))))
	hashes := LeafHashes(pattern(int(rec.Size)))
	data := pattern(o.Size)
	if o.Flip >= 0 {
		data[o.Flip] ^= 1
	}
	switch o.Check {
	case "object":
		return Object(rec, data[:len(data)-o.Drop])
	case "leaves":
		list := LeafHashes(data)
		return Leaves(rec, list[:len(list)-o.Drop])
	default:
		end := min(len(data), (o.From+1)*LeafSize)
		return Leaf(rec, hashes, o.Leaf, data[o.From*LeafSize:end-o.Drop])
	}
}

func (sc scenario) vector() playlistVector { return sc.told(tell) }

func (sc scenario) told(tell teller) playlistVector {
	vec := playlistVector{Name: sc.name, Channel: sc.channel.String(), Rendition: sc.rendition}
	for _, p := range sc.polls {
		vector := pollVector{Text: p.text, NowMs: p.nowMs}
		if p.record != nil {
			vector.Record = b64(p.record.Encode())
		}
		vec.Polls = append(vec.Polls, vector)
	}
	vec.run(tell)
	return vec
}

// teller tells a verifier a poll's playlist or record, and returns what was accepted.
type teller func(p *pollVector, v *Verifier) ([]int64, error)

func tell(p *pollVector, v *Verifier) ([]int64, error) {
	var list []Verified
	if p.Record == "" {
		pl, err := ReadPlaylist(p.Text)
		if err == nil {
			list, err = v.Playlist(pl, p.NowMs)
		}
		if err != nil {
			return nil, err
		}
	} else {
		next, err := v.Next(must(ParseRecord(must(base64URL.DecodeString(p.Record)))), p.NowMs)
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	var numbers []int64
	for _, entry := range list {
		numbers = append(numbers, entry.Record.Sequence)
	}
	return numbers, nil
}

func tellParts(p *pollVector, v *Verifier) ([]int64, error) {
	var list []VerifiedPart
	if p.Record == "" {
		pl, err := ReadPlaylist(p.Text)
		if err == nil {
			_, err = v.Playlist(pl, p.NowMs)
		}
		if err == nil {
			list, err = v.Parts(pl, p.NowMs)
		}
		if err != nil {
			return nil, err
		}
	} else {
		next, err := v.NextPart(must(ParseRecord(must(base64URL.DecodeString(p.Record)))), p.NowMs)
		if err != nil {
			return nil, err
		}
		list = append(list, next)
	}
	var places []int64
	for _, part := range list {
		places = append(places, MaxParts*part.Record.Sequence+int64(part.Record.Part))
	}
	return places, nil
}

// run tells the polls to one verifier and fills in the answers.
func (vec *playlistVector) run(tell teller) {
	v := NewVerifier(must(ParseHash(vec.Channel)), vec.Rendition)
	for i := range vec.Polls {
		p := &vec.Polls[i]
		accepted, err := tell(p, v)
		p.Code, p.Sentence, p.Accepted = CodeOf(err), sentence(err), append([]int64{}, accepted...)
	}
}

// unreadable are texts that ReadPlaylist refuses; the rest of its grammar is pinned by reading them otherwise.
func unreadable(s *stage) []playlistVector {
	good := s.playlist(s.window(number, 2))
	head := "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n"
	var out []playlistVector
	for _, c := range [][2]string{
		{"nothing", ""},
		{"a web page", "<html>"},
		{"no target duration", "#EXTM3U\n"},
		{"a multivariant playlist", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n"},
		{"media sequence 2^53", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:9007199254740992\n"},
		{"media sequence after a segment", head + "#EXTINF:2,\na\n#EXT-X-MEDIA-SEQUENCE:9\n"},
		{"a negative duration", head + "#EXTINF:-2,\na\n"},
		{"a duration in scientific notation", head + "#EXTINF:2e0,\na\n"},
		{"a date of nonsense", head + "#EXT-X-PROGRAM-DATE-TIME:today\n"},
		{"a map without URI", head + "#EXT-X-MAP:BYTERANGE=\"1@0\"\n"},
		{"a URI out of nowhere", head + "a.m4s\n"},
		{"a record that is no base64", head + TagRecord + "!!\n"},
		{"a record with spare bits", head + TagRecord + "AR\n"},
		{"a record cut short", head + TagRecord + "AQEA\n"},
		{"an init record with padding", head + TagInit + "AQ==\n"},
		{"a delegation cut short", head + TagDelegation + "AQEA\n"},
		{"two records for one segment", head + TagRecord + b64(s.init.Encode()) + "\n" + TagRecord + b64(s.init.Encode()) + "\n"},
		{"CRLF line ends", string(bytes.ReplaceAll([]byte(good), []byte("\n"), []byte("\r\n")))},
		{"a delegation cut by a carriage return", string(bytes.Replace([]byte(good), []byte("DELEGATION:A"), []byte("DELEGATION:A\r"), 1))},
	} {
		out = append(out, scenario{c[0], s.channel, "360p", []poll{{text: c[1], nowMs: seen}}}.vector())
	}
	return out
}

// TestVectors replays the shared vectors, as the TypeScript twin does, and keeps them up to date.
func TestVectors(t *testing.T) {
	fresh := must(json.MarshalIndent(buildVectors(), "", " "))
	fresh = append(fresh, '\n')
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, fresh) {
		t.Errorf("%s is not what this code answers; if the change is meant, run this test with -rewrite", vectorsFile)
	}
	var v vectors
	if err := json.Unmarshal(stored, &v); err != nil {
		t.Fatal(err)
	}
	for _, tree := range v.Trees {
		if tree.Size > 0 && Root(LeafHashes(pattern(tree.Size))).String() != tree.Root {
			t.Errorf("tree of %d bytes: another root", tree.Size)
		}
	}
	for _, o := range v.Objects {
		if err := o.run(); CodeOf(err) != o.Code {
			t.Errorf("%s: %v, want code %q", o.Name, err, o.Code)
		}
	}
	refusals := map[Code]bool{}
	for _, want := range append(v.Playlists, v.News...) {
		got := want
		got.Polls = append([]pollVector(nil), want.Polls...)
		got.run(tell)
		for i, p := range got.Polls {
			refusals[p.Code] = true
			if w := want.Polls[i]; p.Code != w.Code || p.Sentence != w.Sentence {
				t.Errorf("%s, poll %d: code %q (%s), want %q", want.Name, i, p.Code, p.Sentence, w.Code)
			}
		}
	}
	for _, code := range []Code{"", MalformedPlaylist, MalformedRecord, MalformedDelegation, NoRecord, Signature, DelegationSignature,
		DelegationChannel, DelegationExpired, DelegationFuture, DelegationRange, DelegationKey, WrongKind, WrongRendition, WrongSequence,
		WrongTiming, WrongInit, BrokenChain, Replay, Future, NotNext, Equivocation} {
		if !refusals[code] {
			t.Errorf("no playlist vector ends with code %q", code)
		}
	}
}
