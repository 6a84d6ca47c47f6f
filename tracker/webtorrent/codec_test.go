package webtorrent

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// stringify is the JSON string that stands for bytes, as JSON.stringify writes it.
func stringify(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(runes)); err != nil {
		panic(err)
	}
	return strings.TrimSpace(out.String())
}

// allBytes has, in its 13 parts of 20, every byte at least once.
func allBytes() (parts [][20]byte) {
	for n := 0; n < 256; n += 20 {
		var p [20]byte
		for i := range p {
			p[i] = byte(n + i)
		}
		parts = append(parts, p)
	}
	return parts
}

func TestBinaryStringsKeepEveryByte(t *testing.T) {
	for _, p := range allBytes() {
		ours := appendBinary(nil, &p)
		var text string
		if err := json.Unmarshal(ours, &text); err != nil {
			t.Fatalf("%s: %v", ours, err)
		}
		back := []byte{}
		for _, r := range text {
			back = append(back, byte(r))
		}
		if !bytes.Equal(back, p[:]) {
			t.Errorf("%x is written as %s", p, ours)
		}
		escaped := `"`
		for _, c := range p {
			escaped += `\u00` + string("0123456789aBcDeF"[c>>4]) + string("0123456789AbCdEf"[c&15])
		}
		for _, form := range []string{string(ours), stringify(p[:]), escaped + `"`} {
			if got, ok := binary20([]byte(form)); !ok || got != p {
				t.Errorf("%s is read as %x, %v", form, got, ok)
			}
		}
	}
	for _, wrong := range []string{`""`, `"1234567890123456789"`, `"123456789012345678901"`, `"1234567890123456789Ā"`,
		`"1234567890123456789\u0100"`, `"1234567890123456789€"`, `12345678901234567890`, `null`, ``} {
		if _, ok := binary20([]byte(wrong)); ok {
			t.Errorf("%s passed for 20 bytes", wrong)
		}
	}
}

const (
	hashText  = `"aaaaaaaaaaaaaaaaaaaa"`
	peerText  = `"-WW0200-bbbbbbbbbbbb"`
	toText    = `"-WW0200-cccccccccccc"`
	offerText = `"dddddddddddddddddd\u0000ÿ"`
	hello     = `"action":"announce","info_hash":` + hashText + `,"peer_id":` + peerText
)

// TestWhatClientsSend has messages as clients write them.
func TestWhatClientsSend(t *testing.T) {
	var base Request
	base.Action = Announce
	copy(base.InfoHash[:], "aaaaaaaaaaaaaaaaaaaa")
	copy(base.PeerID[:], "-WW0200-bbbbbbbbbbbb")
	var offerID ID
	copy(offerID[:], "dddddddddddddddddd\x00\xff")
	with := func(f func(*Request)) Request { r := base; f(&r); return r }
	offer := `{"type":"offer","sdp":"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"}`
	for _, c := range []struct {
		name, text string
		want       Request
	}{
		{"bittorrent-tracker's client", `{"numwant":1,"uploaded":0,"downloaded":0,"event":"started",` + hello + `,"offers":[{"offer":` + offer + `,"offer_id":` + offerText + `}]}`,
			with(func(r *Request) { r.Event, r.Offers = Started, []Offer{{offerID, []byte(offer)}} })},
		{"without offers", `{"numwant":0,"offers":[],` + hello + `}`, base},
		{"offers that are null", `{"offers":null,"event":null,"left":null,"answer":null,` + hello + `}`, base},
		{"a seeder", `{"left":0,"event":"",` + hello + `}`, with(func(r *Request) { r.Seeder = true })},
		{"nothing left, otherwise written", `{"left":"0",` + hello + `}`, with(func(r *Request) { r.Seeder = true })},
		{"or so", ` { "left" : -0.00e+7 , ` + hello + `}` + "\n", with(func(r *Request) { r.Seeder = true })},
		{"left unknown", `{"left":null,"event":"empty",` + hello + `}`, base},
		{"something left", `{"left":1e-9,"event":"update",` + hello + `}`, base},
		{"completed", `{"left":0,"event":"completed",` + hello + `}`, with(func(r *Request) { r.Event, r.Seeder = Completed, true })},
		{"stopped", `{"event":"stopped","trackerid":"x",` + hello + `}`, with(func(r *Request) { r.Event = Stopped })},
		{"paused", `{"event":"paused",` + hello + `}`, with(func(r *Request) { r.Event = Paused })},
		{"an answer", `{` + hello + `,"to_peer_id":` + toText + `,"answer":{"type":"answer","sdp":"v=0"},"offer_id":` + offerText + `}`,
			with(func(r *Request) {
				r.Answer, r.OfferID = []byte(`{"type":"answer","sdp":"v=0"}`), offerID
				copy(r.ToPeerID[:], "-WW0200-cccccccccccc")
			})},
		{"names with escapes", `{"\u0061ction":"\u0061nnounce","info_hash":` + hashText + `,"peer_id":` + peerText + `}`, base},
		{"a scrape", `{"action":"scrape","info_hash":` + hashText + `}`, Request{Action: Scrape, InfoHashes: []Hash{base.InfoHash}}},
		{"a scrape of two", `{"action":"scrape","info_hash":[` + hashText + `,` + hashText + `]}`, Request{Action: Scrape, InfoHashes: []Hash{base.InfoHash, base.InfoHash}}},
	} {
		var got Request
		err := Decode(&got, []byte(c.text))
		if len(got.Offers) == 0 {
			got.Offers = nil
		}
		if len(got.InfoHashes) == 0 {
			got.InfoHashes = nil
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	long := `"` + strings.Repeat("x", MaxDescription) + `"`
	for _, c := range []struct {
		text string
		want error
	}{
		{"", errJSON}, {"7", errJSON}, {"{", errJSON}, {"{}{}", errJSON}, {"{" + hello + "} x", errJSON}, {"{" + hello + ",}", errJSON},
		{`{"a":01,` + hello + `}`, errJSON}, {`{"a":"` + "\n" + `",` + hello + `}`, errJSON}, {`{"a":"\x",` + hello + `}`, errJSON},
		{`{"a":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `,` + hello + `}`, errJSON},
		{"{\"a\":\"\xff\"," + hello + "}", errUTF8},
		{`{}`, errAction}, {`{"action":7}`, errAction}, {`{"action":"connect"}`, errAction},
		{`{"action":"announce"}`, errInfoHash}, {`{"action":"announce","info_hash":"short"}`, errInfoHash},
		{`{"action":"announce","info_hash":` + hashText + `,"peer_id":7}`, errPeerID},
		{`{"event":"resumed",` + hello + `}`, errEvent}, {`{"event":7,` + hello + `}`, errEvent},
		{`{"offers":{},` + hello + `}`, errOffers}, {`{"offers":[7],` + hello + `}`, errOffers},
		{`{"offers":[{"offer_id":` + offerText + `}],` + hello + `}`, errOffers},
		{`{"offers":[{"offer":"v=0","offer_id":` + offerText + `}],` + hello + `}`, errOffers},
		{`{"offers":[{"offer":{}}],` + hello + `}`, errOfferID}, {`{"offers":[{"offer":{},"offer_id":"123456"}],` + hello + `}`, errOfferID},
		{`{"offers":[{"offer":{"sdp":` + long + `},"offer_id":` + offerText + `}],` + hello + `}`, errDescription},
		{`{"answer":{},` + hello + `}`, errToPeerID}, {`{"answer":{},"to_peer_id":` + toText + `,` + hello + `}`, errOfferID},
		{`{"answer":"v=0","to_peer_id":` + toText + `,"offer_id":` + offerText + `,` + hello + `}`, errAnswer},
		{`{"action":"scrape"}`, errNoHash}, {`{"action":"scrape","info_hash":[]}`, errNoHash}, {`{"action":"scrape","info_hash":["x"]}`, errInfoHash},
		{`{"action":"scrape","info_hash":[` + strings.Repeat(hashText+",", MaxScrape) + hashText + `]}`, errManyHashes},
	} {
		var r Request
		if err := Decode(&r, []byte(c.text)); err != c.want {
			t.Errorf("%.80s: %v, want %v", c.text, err, c.want)
		}
	}
	var r Request
	many := `{"offers":[` + strings.Repeat(`{"offer":{},"offer_id":`+offerText+`},`, 30) + `{"offer":{},"offer_id":` + offerText + `}],` + hello + `}`
	if err := Decode(&r, []byte(many)); err != nil || len(r.Offers) != MaxOffers {
		t.Errorf("of 31 offers %d are used, %v", len(r.Offers), err)
	}
}

// TestWhatClientsRead parses what the tracker says.
func TestWhatClientsRead(t *testing.T) {
	parts := allBytes()
	h, p, o := Hash(parts[1]), ID(parts[12]), ID(parts[0])
	r := &Request{Action: Announce, InfoHash: h, PeerID: p, OfferID: o, Answer: []byte(`{"sdp":"x\r\n"}`)}
	hash, peer, offer := stringify(h[:]), stringify(p[:]), stringify(o[:])
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendAnnounce(nil, &h, Counts{3, 17, 4}, 120, "0badcafe"), `{"action":"announce","complete":3,"incomplete":17,"interval":120,"tracker id":"0badcafe","info_hash":` + hash + `}`},
		{AppendAnnounce(nil, &h, Counts{}, 120, ""), `{"action":"announce","complete":0,"incomplete":0,"interval":120,"info_hash":` + hash + `}`},
		{AppendOffer(nil, &h, &p, &Offer{o, []byte(`{"sdp":"é"}`)}), `{"action":"announce","offer":{"sdp":"é"},"offer_id":` + offer + `,"peer_id":` + peer + `,"info_hash":` + hash + `}`},
		{AppendAnswer(nil, r), `{"action":"announce","answer":{"sdp":"x\r\n"},"offer_id":` + offer + `,"peer_id":` + peer + `,"info_hash":` + hash + `}`},
		{AppendScrape(nil, []Hash{h, Hash(o)}, []Counts{{1, 2, 3}, {}}, 120), `{"action":"scrape","files":{` + hash + `:{"complete":1,"incomplete":2,"downloaded":3},` + offer + `:{"complete":0,"incomplete":0,"downloaded":0}},"flags":{"min_request_interval":120}}`},
		{AppendFailure(nil, r, errAction), `{"action":"announce","failure reason":"The action must be \"announce\" or \"scrape\".","info_hash":` + hash + `}`},
		{AppendFailure(nil, &Request{}, errJSON), `{"action":"announce","failure reason":"The message is not a JSON object."}`},
		{AppendFailure(nil, &Request{Action: Scrape}, errNoHash), `{"action":"scrape","failure reason":"A scrape must name its info_hash, or several in a list."}`},
	} {
		var got, want any
		if err := json.Unmarshal(c.got, &got); err != nil {
			t.Errorf("%s: %v", c.got, err)
		} else if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatalf("%s: %v", c.want, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\nwant %s", c.got, c.want)
		}
	}
}

func TestClients(t *testing.T) {
	for text, want := range map[string][2]string{
		"-WW0200-123456789012": {"WebTorrent", "0200"}, "-PM0203-123456789012": {"p2p-media-loader", "0203"}, "-XY12ab-123456789012": {"XY", "12ab"},
		"M4-3-6--123456789012": {"unknown", ""}, "-<b>200-123456789012": {"unknown", ""},
	} {
		var id ID
		copy(id[:], text)
		if name, version := id.Client(); name != want[0] || version != want[1] {
			t.Errorf("%s is %q %q, want %q", text, name, version, want)
		}
	}
}

// FuzzDecode holds the decoder to encoding/json: both accept the same and read the same, and what is relayed is JSON.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"numwant":1,"event":"started","left":0,` + hello + `,"offers":[{"offer":{"type":"offer","sdp":"v=0\r\n"},"offer_id":` + offerText + `}]}`,
		`{` + hello + `,"to_peer_id":` + toText + `,"answer":{"type":"answer","sdp":"\ud83d\ude00"},"offer_id":` + offerText + `}`,
		`{"action":"scrape","info_hash":[` + hashText + `,` + hashText + `]}`, `{"action":"scrape","info_hash":` + hashText + `}`,
		`{"\u0061ction":"announce","info_hash":"\u0000\b\f\n\r\t\"\\\/\u00ff123456789ab","a":[{},[],true,false,null,-1.5e+3]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var r Request
		err := Decode(&r, message)
		top := map[string]json.RawMessage{}
		isObject := json.Unmarshal(message, &top) == nil && bytes.HasPrefix(bytes.TrimLeft(message, " \t\r\n"), []byte("{"))
		switch {
		case err == errUTF8:
			if utf8.Valid(message) {
				t.Fatal("valid UTF-8 was refused")
			}
			return
		case err == errJSON:
			if isObject && !deep(message) {
				t.Fatal("JSON was refused")
			}
			return
		case err != nil:
			return
		case !isObject:
			t.Fatal("what is no JSON object was read")
		}
		raw := func(name string) []byte { return bytes.TrimSpace(top[name]) }
		same := func(name string, got []byte) {
			var s string
			if json.Unmarshal(raw(name), &s) != nil || string(latin1(s)) != string(got) {
				t.Fatalf("%s is %q, read as %q", name, raw(name), got)
			}
		}
		if r.Action == Scrape {
			if raw("info_hash")[0] == '"' {
				same("info_hash", r.InfoHashes[0][:])
			}
			return
		}
		same("info_hash", r.InfoHash[:])
		same("peer_id", r.PeerID[:])
		if r.Answer != nil {
			same("to_peer_id", r.ToPeerID[:])
			same("offer_id", r.OfferID[:])
			if string(raw("answer")) != string(r.Answer) {
				t.Fatalf("the answer is %q, read as %q", raw("answer"), r.Answer)
			}
			if m := AppendAnswer(nil, &r); !json.Valid(m) || !utf8.Valid(m) {
				t.Fatalf("relayed: %q", m)
			}
		}
		var offers []map[string]json.RawMessage
		if o := raw("offers"); o != nil && json.Unmarshal(o, &offers) != nil {
			t.Fatalf("offers were read from %q", o)
		}
		if len(r.Offers) != min(len(offers), MaxOffers) {
			t.Fatalf("of %d offers, %d were read", len(offers), len(r.Offers))
		}
		for i, o := range r.Offers {
			if want := bytes.TrimSpace(offers[i]["offer"]); string(want) != string(o.Description) {
				t.Fatalf("the offer %q was read as %q", want, o.Description)
			}
			if m := AppendOffer(nil, &r.InfoHash, &r.PeerID, &o); !json.Valid(m) || !utf8.Valid(m) {
				t.Fatalf("relayed: %q", m)
			}
		}
		left := 1.0
		if json.Unmarshal(raw("left"), &left) == nil && raw("left")[0] != 'n' && (left == 0) != r.Seeder && !bytes.ContainsAny(raw("left"), "123456789") {
			t.Fatalf("left is %q, a seeder: %v", raw("left"), r.Seeder)
		}
	})
}

func latin1(s string) (b []byte) {
	for _, r := range s {
		if r > 0xff {
			return nil
		}
		b = append(b, byte(r))
	}
	return b
}

// deep tells whether JSON has more brackets within brackets than Decode follows.
func deep(message []byte) bool {
	depth, most, inString := 0, 0, false
	for i := 0; i < len(message); i++ {
		switch c := message[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most > maxDepth
}

func BenchmarkDecode(b *testing.B) {
	sdp := strings.Repeat(`a=candidate:1 1 udp 2122260223 192.0.2.1 49203 typ host\r\n`, 17)
	offer := `{"offer":{"type":"offer","sdp":"` + sdp + `"},"offer_id":` + offerText + `}`
	message := []byte(`{"numwant":5,"uploaded":0,"downloaded":0,` + hello + `,"offers":[` + strings.Repeat(offer+",", 4) + offer + `]}`)
	b.SetBytes(int64(len(message)))
	var r Request
	for b.Loop() {
		if err := Decode(&r, message); err != nil {
			b.Fatal(err)
		}
	}
}
