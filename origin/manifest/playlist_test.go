package manifest

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadPlaylist(t *testing.T) {
	s := newStage()
	records := []Record{s.segment(number - 4), s.segment(number - 1), s.segment(number)}
	text := s.playlist(records)
	for name, text := range map[string]string{"LF": text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n"), "unknown tags": strings.ReplaceAll(text, "#EXTINF", "#EXT-X-UNHEARD-OF:1\n# a comment\n\n#EXTINF")} {
		pl, err := ReadPlaylist(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if pl.MediaSequence != number-4 || pl.TargetDurationMs != 2000 || pl.EndList {
			t.Errorf("%s: header read as %+v", name, pl)
		}
		if len(pl.Delegations) != 1 || pl.Delegations[0] != s.delegation {
			t.Errorf("%s: delegations read as %+v", name, pl.Delegations)
		}
		var story []string
		for _, seg := range pl.Segments {
			what := "segment"
			if seg.Gap {
				what = "gap"
			} else if seg.Record == nil || seg.Record.Sequence != seg.Number || *seg.InitRecord != s.init || seg.PDTms != seg.Number*2000 {
				t.Errorf("%s: segment %d has lost something: %+v", name, seg.Number, seg)
			}
			if seg.Discontinuity {
				what = "discontinuity, " + what
			}
			if seg.DurationMs != 2000 || !strings.HasPrefix(seg.MapURI, "init-") || seg.URI != fmt.Sprintf("%d.m4s", seg.Number) {
				t.Errorf("%s: segment %d read as %+v", name, seg.Number, seg)
			}
			story = append(story, what)
		}
		if got, want := strings.Join(story, "; "), "segment; gap; gap; discontinuity, segment; segment"; got != want {
			t.Errorf("%s: read %q, want %q", name, got, want)
		}
	}
}

// A new map must bring its own init record; a record for the map in force may be renewed alone.
func TestInitRecordBelongsToItsMap(t *testing.T) {
	s := newStage()
	init := TagInit + base64URL.EncodeToString(s.init.Encode())
	pl, err := ReadPlaylist("#EXTM3U\n#EXT-X-TARGETDURATION:2\n" +
		init + "\n#EXT-X-MAP:URI=\"a.mp4\"\n#EXTINF:2,\n1.m4s\n" +
		"#EXTINF:2,\n2.m4s\n" +
		"#EXT-X-MAP:URI=\"b.mp4\"\n#EXTINF:2,\n3.m4s\n" +
		init + "\n#EXTINF:2,\n4.m4s\n#EXT-X-ENDLIST\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, seg := range pl.Segments {
		got = append(got, fmt.Sprintf("%s %t", seg.MapURI, seg.InitRecord != nil))
	}
	if want := "a.mp4 true, a.mp4 true, b.mp4 false, b.mp4 true"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if !pl.EndList {
		t.Error("EXT-X-ENDLIST was not noticed")
	}
}

func TestReadPlaylistRefusals(t *testing.T) {
	s := newStage()
	rec := TagRecord + base64URL.EncodeToString(s.segment(number).Encode())
	deleg := TagDelegation + base64URL.EncodeToString(s.delegation.Encode())
	head := "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n"
	for _, c := range []struct {
		name, text string
		code       Code
		says       string
	}{
		{"nothing", "", MalformedPlaylist, "empty"},
		{"a web page", "<html>", MalformedPlaylist, "does not begin with #EXTM3U"},
		{"no target duration", "#EXTM3U\n", MalformedPlaylist, "no EXT-X-TARGETDURATION"},
		{"target duration 0", "#EXTM3U\n#EXT-X-TARGETDURATION:0\n", MalformedPlaylist, "line 2: the value of EXT-X-TARGETDURATION"},
		{"a multivariant playlist", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n", MalformedPlaylist, "multivariant"},
		{"media sequence 2^53", "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:9007199254740992\n", MalformedPlaylist, "EXT-X-MEDIA-SEQUENCE"},
		{"media sequence too late", head + "#EXTINF:2,\na\n#EXT-X-MEDIA-SEQUENCE:9\n", MalformedPlaylist, "after a segment"},
		{"a negative duration", head + "#EXTINF:-2,\na\n", MalformedPlaylist, "line 4: the value of EXTINF"},
		{"a date of nonsense", head + "#EXT-X-PROGRAM-DATE-TIME:today\n", MalformedPlaylist, "EXT-X-PROGRAM-DATE-TIME"},
		{"a map without URI", head + "#EXT-X-MAP:BYTERANGE=\"1@0\"\n", MalformedPlaylist, "EXT-X-MAP"},
		{"a URI out of nowhere", head + "a.m4s\n", MalformedPlaylist, "no EXTINF"},
		{"a long URI", head + "#EXTINF:2,\n" + strings.Repeat("a", 2049) + "\n", MalformedPlaylist, "2048 bytes"},
		{"too many bytes", head + strings.Repeat("#\n", MaxPlaylistBytes/2), MalformedPlaylist, "1048576 are allowed"},
		{"too many segments", head + strings.Repeat("#EXTINF:2,\na\n", MaxSegments+1), MalformedPlaylist, "more than 4096 segments"},
		{"too many delegations", head + strings.Repeat(deleg+"\n", 9), MalformedPlaylist, "more than 8 delegations"},
		{"two records", head + rec + "\n" + rec + "\n", MalformedPlaylist, "the record of segment 7 is there twice"},
		{"a record that is no base64", head + TagRecord + "!!\n", MalformedRecord, "the record of segment 7"},
		{"a record cut short", head + "#EXTINF:2,\na\n" + TagRecord + "AQEA\n", MalformedRecord, "the record of segment 8: it is malformed: it ends too early"},
		{"an init record with padding", head + TagInit + "AQ==\n", MalformedRecord, "the init record of segment 7"},
		{"a delegation that is no base64", head + TagDelegation + "a\rb\n", MalformedDelegation, "the delegation in line 4"},
		{"a delegation cut short", head + TagDelegation + "AQEA\n", MalformedDelegation, "the delegation in line 4: it is malformed"},
	} {
		_, err := ReadPlaylist(c.text)
		assertRefusal(t, c.name, err, c.code, c.says)
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string]int64{
		"2": 2000, "2.0": 2000, "2.0049": 2004, "0.9999": 999, "1.5": 1500, "10.123456789012345": 10123,
		"": -1, ".5": -1, "1.": -1, "1e3": -1, "1.2.3": -1, "1000000000": -1, "1.x": -1, "+1": -1,
	} {
		if got, ok := parseSecondsMs(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q seconds = %d ms, %t; want %d", text, got, ok, want)
		}
	}
	for text, want := range map[string]int64{
		"1970-01-01T00:00:00Z": 0, "2026-01-01T00:00:00.000Z": nowMs, "2026-01-01T01:30:00.5+01:30": nowMs + 500,
		"2025-12-31T19:00:00.0019-0500": nowMs + 1, "2024-02-29T00:00:00Z": 1_709_164_800_000,
		"2026-01-01T00:00:00": -1, "2026-13-01T00:00:00Z": -1, "2026-01-01 00:00:00Z": -1, "2026-01-01T24:00:00Z": -1,
		"2026-01-01T00:00:00.Z": -1, "2026-01-01T00:00:00+1": -1, "1969-12-31T23:59:59Z": -1, "2026-01-01T00:00:00.1.2Z": -1, "Z": -1,
	} {
		if got, ok := parseDateMs(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q = %d, %t; want %d", text, got, ok, want)
		}
	}
	for _, c := range []struct{ list, want string }{
		{`URI="a,b=c",BYTERANGE="1@2"`, "a,b=c"}, {`X=1, URI="z"`, "z"}, {`X="URI=1",URI=u`, "u"}, {`X=1`, "-"}, {`URI="open`, "-"}, {`URI="a"b`, "-"}, {``, "-"},
	} {
		got, ok := attribute(c.list, "URI")
		if !ok {
			got = "-"
		}
		if got != c.want {
			t.Errorf("URI of %q = %q, want %q", c.list, got, c.want)
		}
	}
}

func TestReadMultivariant(t *testing.T) {
	channel := newStage().channel
	text := "#EXTM3U\n#EXT-X-VERSION:6\n" +
		"#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.channel\",VALUE=\"" + channel.String() + "\"\n" +
		"#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.tracker\",VALUE=\"/tracker\"\n" +
		"#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.token\",VALUE=\"/live/demo/token\"\n" +
		"#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS=\"avc1.4d401e,mp4a.40.2\",RESOLUTION=640x360,NAME=\"360p\"\n360p/index.m3u8\n" +
		"#EXT-X-STREAM-INF:BANDWIDTH=400000\nhttps://cdn.example/live/demo/180p/index.m3u8?t=/x/y\n"
	if !IsMultivariant(text) {
		t.Error("it is not recognised as multivariant")
	}
	m, err := ReadMultivariant(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []Variant{
		{URI: "360p/index.m3u8", Rendition: "360p", Bandwidth: 1_000_000, Width: 640, Height: 360, Codecs: "avc1.4d401e,mp4a.40.2"},
		{URI: "https://cdn.example/live/demo/180p/index.m3u8?t=/x/y", Rendition: "180p", Bandwidth: 400_000},
	}
	if m.Channel != channel || m.Tracker != "/tracker" || m.Token != "/live/demo/token" || fmt.Sprint(m.Variants) != fmt.Sprint(want) {
		t.Errorf("read as %+v", m)
	}
	for name, bad := range map[string]string{
		"#EXTM3U":         "<html>",
		"no rendition":    "#EXTM3U\n",
		"43 characters":   "#EXTM3U\n#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.channel\",VALUE=\"x\"\n",
		"not understood":  "#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=1x1\na\n",
		"2048 bytes":      "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n" + strings.Repeat("a", 2049) + "\n",
		"more than 128":   "#EXTM3U\n" + strings.Repeat("#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", MaxVariants+1),
		"1048576 are all": strings.Repeat("a", MaxPlaylistBytes+1),
	} {
		_, err := ReadMultivariant(bad)
		assertRefusal(t, name, err, MalformedPlaylist, name)
	}
}
