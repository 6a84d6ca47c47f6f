package origin

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/keys"
	"slipstream/origin/manifest"
	"slipstream/origin/server"
	"slipstream/origin/store"
)

// broadcast is a real store behind a real server, with synthetic segments, and a proxy in front that may tamper.
type broadcast struct {
	t      *testing.T
	keys   *keys.Channel
	first  int64
	tamper func(path string, body []byte) []byte // nil body: not found
	web    *httptest.Server
}

const listed = 8 // segments in each playlist

// newBroadcast is on the air at nowMs; the last of its segments has just come out.
func newBroadcast(t *testing.T, nowMs int64) *broadcast { return broadcastOf(t, nowMs, listed, 0) }

// broadcastOf has so many segments, and a DVR window.
func broadcastOf(t *testing.T, nowMs, count, dvrMs int64) *broadcast {
	b := &broadcast{t: t, first: nowMs/2000 - count, tamper: func(_ string, body []byte) []byte { return body }}
	dir := t.TempDir()
	var err error
	if b.keys, err = keys.Open(dir, "demo", nowMs-600_000); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(store.Config{
		Dir: keys.ChannelDir(dir, "demo"), Channel: b.keys.ID(), SessionMs: nowMs, Renditions: []string{"360p", "180p"}, Signer: b.keys, DVRMs: dvrMs,
	}, nowMs)
	if err != nil {
		t.Fatal(err)
	}
	for n := b.first; n < b.first+count; n++ {
		if n == b.first+3 {
			continue // a gap
		}
		for _, rendition := range []string{"360p", "180p"} {
			err := s.Publish(cmaf.Segment{
				Rendition: rendition, Number: n, StartMs: n * 2000, DurationMs: 2000, Init: []byte("init of " + rendition),
				Data: bytes.Repeat(fmt.Appendf(nil, "%s %013d; ", rendition, n), 2000),
			}, n*2000+2100)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	origin, err := server.New(server.Config{
		Channels: []server.Channel{{Name: "demo", ID: b.keys.ID(), Store: s, FloorBps: map[string]int64{"360p": 1_000_000}, Tracker: "/tracker", Publisher: func() server.Publisher { return server.Publisher{} }}},
		Logger:   slog.New(slog.DiscardHandler), Now: func() int64 { return nowMs }, TokenSecret: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding") // to tamper with what is meant, not with a compression of it
		answer := httptest.NewRecorder()
		origin.ServeHTTP(answer, r)
		body := b.tamper(r.URL.Path, answer.Body.Bytes())
		if body == nil {
			http.Error(w, "lost", http.StatusNotFound)
			return
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(b.web.Close)
	return b
}

func (b *broadcast) url() string { return b.web.URL + "/live/demo/index.m3u8" }

// third is the segment that gets hurt, always in 360p.
func (b *broadcast) third() int64 { return b.first + 2 }

// onPath tampers with one object.
func onPath(suffix string, change func([]byte) []byte) func(string, []byte) []byte {
	return func(path string, body []byte) []byte {
		if strings.HasSuffix(path, suffix) {
			return change(bytes.Clone(body))
		}
		return body
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 1; return b }
}

// onTag decodes the nth value of a tag in the 360p playlist, lets change alter its bytes and puts it back.
func onTag(tag string, nth int, change func([]byte) []byte) func(string, []byte) []byte {
	pattern := regexp.MustCompile(`(?m)^` + tag + `(.*)$`)
	return onPath("/360p/index.m3u8", func(b []byte) []byte {
		place := pattern.FindAllSubmatchIndex(b, -1)[nth]
		value, err := base64.RawURLEncoding.DecodeString(string(b[place[2]:place[3]]))
		if err != nil {
			panic(err)
		}
		return bytes.Join([][]byte{b[:place[2]], []byte(base64.RawURLEncoding.EncodeToString(change(value))), b[place[3]:]}, nil)
	})
}

func verify(url, id string) (string, error) {
	var out strings.Builder
	err := Verify(context.Background(), url, id, &out)
	return out.String(), err
}

func TestVerifyTellsWhatItFound(t *testing.T) {
	b := newBroadcast(t, nowMs())
	for name, c := range map[string]struct {
		url, id  string
		segments int
		says     []string
	}{
		"the whole channel": {b.url(), "", 14, []string{"give the id to have it checked", "rendition   360p: 7 segments", "rendition   180p: 7 segments"}},
		"with its id":       {b.url(), b.keys.ID().String(), 14, []string{"channel     " + b.keys.ID().String() + "\n"}},
		"one rendition":     {b.web.URL + "/live/demo/180p/index.m3u8", b.keys.ID().String(), 7, []string{"rendition   180p: 7 segments"}},
	} {
		out, err := verify(c.url, c.id)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, d, _ := b.keys.Signer(nowMs())
		for _, text := range append(c.says, "1 gaps", d.Key().String()+" signed 7 of them", "signed roots", "1 init sections",
			fmt.Sprintf("verdict     everything listed is genuine: %d segments, %d leaves, %d bytes\n", c.segments, c.segments*3, c.segments*40_000)) {
			if !strings.Contains(out, text) {
				t.Errorf("%s: the report does not say %q:\n%s", name, text, out)
			}
		}
	}
}

// Somebody between the origin and the viewer changes one thing at a time.
func TestVerifyNamesTheCulprit(t *testing.T) {
	b := newBroadcast(t, nowMs())
	segment := fmt.Sprintf("segment %d of \"360p\"", b.third())
	object := fmt.Sprintf("/360p/%d.m4s", b.third())
	playlist := "/360p/index.m3u8"
	replace := func(old, new string) func([]byte) []byte {
		return func(body []byte) []byte { return bytes.Replace(body, []byte(old), []byte(new), 1) }
	}
	const rootAt, sizeAt, durationAt = 45, 41, 37 // in the encoding of a record of a four-letter rendition
	for _, c := range []struct {
		name   string
		tamper func(string, []byte) []byte
		code   manifest.Code
		says   string
	}{
		{"a record", onTag(manifest.TagRecord, 2, flip(rootAt)), manifest.Signature, segment + ": the signature of its record does not match"},
		{"a size", onTag(manifest.TagRecord, 2, flip(sizeAt+3)), manifest.Signature, segment + ": the signature"},
		{"a signature", onTag(manifest.TagRecord, 2, func(r []byte) []byte { return flip(len(r) - 9)(r) }), manifest.Signature, segment + ": the signature"},
		{"a duration to nothing", onTag(manifest.TagRecord, 2, func(r []byte) []byte { copy(r[durationAt:], make([]byte, 4)); return r }), manifest.MalformedRecord, fmt.Sprintf("the record of segment %d: it is malformed", b.third())},
		{"a delegation", onTag(manifest.TagDelegation, 0, flip(70)), manifest.DelegationSignature, "the delegation of key"},
		{"a delegation's root key", onTag(manifest.TagDelegation, 0, flip(5)), manifest.DelegationChannel, "another channel"},
		{"an init record", onTag(manifest.TagInit, 0, flip(rootAt)), manifest.Signature, "its init section: the signature"},
		{"a record left out", onPath(playlist, replace(manifest.TagRecord, "#EXT-X-OTHER:")), manifest.NoRecord, fmt.Sprintf("segment %d of \"360p\": it has no record", b.first)},
		{"a delegation left out", onPath(playlist, replace(manifest.TagDelegation, "#EXT-X-OTHER:")), manifest.DelegationKey, "no delegation for the key"},
		{"the first segment hidden as a gap", onPath(playlist, replace(manifest.TagRecord, "#EXT-X-GAP\n#EXT-X-OTHER:")), "", ""}, // a window may begin anywhere
		{"a gap inside", onPath(playlist, func(body []byte) []byte {
			i := bytes.LastIndex(body, fmt.Appendf(nil, "\n%d.m4s", b.third()))
			at := bytes.LastIndex(body[:i], []byte(manifest.TagRecord))
			return bytes.Join([][]byte{body[:at], []byte("#EXT-X-GAP\n"), body[at:]}, nil)
		}), manifest.BrokenChain, "does not follow the record of segment"},
		{"numbers", onPath(playlist, replace(fmt.Sprintf("SEQUENCE:%d", b.first), fmt.Sprintf("SEQUENCE:%d", b.first+1))), manifest.WrongSequence, "its record is that of segment"},
		{"a duration", onPath(playlist, replace("#EXTINF:2.000", "#EXTINF:1.000")), manifest.WrongTiming, "1000 ms, its record 2000 ms"},
		{"a byte of a segment", onPath(object, flip(20_000)), manifest.WrongLeaf, segment + ": leaf 1 was changed"},
		{"a byte missing", onPath(object, func(d []byte) []byte { return d[:39_999] }), manifest.WrongSize, segment + ": it has 39999 bytes where the record says 40000"},
		{"a byte too many", onPath(object, func(d []byte) []byte { return append(d, 0) }), manifest.WrongSize, segment + ": it has 40001 bytes"},
		{"another segment's bytes", onPath(object, func(d []byte) []byte { return bytes.ReplaceAll(d, []byte("360p"), []byte("361p")) }), manifest.WrongLeaf, segment + ": leaf 0 was changed"},
		{"a leaf hash", onPath(object+".leaves", flip(64)), manifest.WrongRoot, "the leaf list is wrong: " + segment},
		{"a short leaf list", onPath(object+".leaves", func(d []byte) []byte { return d[:64] }), manifest.WrongLeafList, segment + ": the leaf list has 2 hashes where 3 belong"},
		{"an init section", onPath(".mp4", flip(0)), manifest.WrongRoot, "the init section of \"360p\": its bytes were changed"},
		{"a lost segment", onPath(object, func([]byte) []byte { return nil }), "", segment + " cannot be fetched from " + b.web.URL},
		{"a lost leaf list", onPath(object+".leaves", func([]byte) []byte { return nil }), "", "the leaf list of " + segment + " cannot be fetched"},
		{"renditions", onPath("/demo/index.m3u8", func(body []byte) []byte { return bytes.ReplaceAll(body, []byte("\n180p/"), []byte("\n360p/")) }), manifest.WrongRendition, "of \"180p\": its record belongs to rendition \"360p\""},
		{"the channel's name", onPath("/demo/index.m3u8", replace("slipstream.channel", "other.channel")), "", "names no channel"},
		{"a web page instead", onPath("/demo/index.m3u8", func([]byte) []byte { return []byte("<html>") }), manifest.MalformedPlaylist, "does not begin with #EXTM3U"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.tamper = c.tamper
			out, err := verify(b.url(), "")
			if c.says == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || manifest.CodeOf(err) != c.code {
				t.Fatalf("code %q, %v; want %q and %q", manifest.CodeOf(err), err, c.code, c.says)
			}
			if !strings.Contains(out, "verdict     refused: "+err.Error()+"\n") || strings.Contains(out, "genuine") {
				t.Errorf("the report ends otherwise:\n%s", out)
			}
		})
	}
}

func TestVerifyRefusesYesterday(t *testing.T) {
	b := newBroadcast(t, nowMs()-24*time.Hour.Milliseconds())
	_, err := verify(b.url(), b.keys.ID().String())
	if manifest.CodeOf(err) != manifest.Replay || !strings.Contains(err.Error(), "this playlist is a replay") {
		t.Errorf("yesterday's playlist: %v", err)
	}
}

func TestVerifyChecksWhoseChannelItIs(t *testing.T) {
	b, other := newBroadcast(t, nowMs()), newBroadcast(t, nowMs())
	_, err := verify(b.url(), other.keys.ID().String())
	if err == nil || !strings.Contains(err.Error(), b.keys.ID().String()) || !strings.Contains(err.Error(), other.keys.ID().String()) {
		t.Errorf("another channel: %v", err)
	}
	// The multivariant playlist is not signed: a liar may write the expected id into it.
	b.tamper = onPath("/demo/index.m3u8", func(body []byte) []byte {
		return bytes.Replace(body, []byte(b.keys.ID().String()), []byte(other.keys.ID().String()), 1)
	})
	if _, err := verify(b.url(), other.keys.ID().String()); manifest.CodeOf(err) != manifest.DelegationChannel {
		t.Errorf("a channel under a stolen name: %v", err)
	}
	if _, err := verify(b.web.URL+"/live/demo/360p/index.m3u8", other.keys.ID().String()); manifest.CodeOf(err) != manifest.DelegationChannel {
		t.Errorf("a rendition of another channel: %v", err)
	}
}

func TestVerifyWithoutAnAnswer(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer silent.Close()
	for url, says := range map[string]string{
		"live/demo":                 "is not the URL of a playlist",
		"ftp://localhost/x":         "is not the URL of a playlist",
		"http://127.0.0.1:1/a.m3u8": "the playlist cannot be fetched",
		silent.URL:                  "the playlist cannot be fetched",
		newBroadcast(t, nowMs()).web.URL + "/live/nope/index.m3u8": "404 Not Found: there is no channel \"nope\" here",
	} {
		if _, err := verify(url, ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := verify("http://127.0.0.1:1/", "short"); err == nil || !strings.Contains(err.Error(), `"short" is not a channel id`) {
		t.Errorf("bad id: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Verify(ctx, "http://127.0.0.1:1/", "", io.Discard); err == nil {
		t.Error("a cancelled verification succeeded")
	}
}
