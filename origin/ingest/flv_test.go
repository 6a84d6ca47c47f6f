package ingest

import (
	"bytes"
	"encoding/hex"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadTags(t *testing.T) {
	for _, c := range []struct {
		name, body string
		read       func([]byte) (tag, error)
		kind       tagKind
		offset     time.Duration
		data, err  string
	}{
		{"empty", "", readVideo, tagOther, 0, "", ""},
		{"H.264 parameters", "17 00 000000 0142", readVideo, tagConfig, 0, "0142", ""},
		{"a picture, shown 33 ms after it is decoded", "27 01 000021 aabb", readVideo, tagFrame, 33 * time.Millisecond, "aabb", ""},
		{"a picture, shown before it is decoded", "27 01 fffffe aabb", readVideo, tagFrame, -2 * time.Millisecond, "aabb", ""},
		{"the end of the sequence", "17 02 000000", readVideo, tagOther, 0, "", ""},
		{"a command frame", "57 00", readVideo, tagOther, 0, "", ""},
		{"cut off", "17 01 00", readVideo, tagOther, 0, "", "cut off"},
		{"VP6", "14 00", readVideo, tagOther, 0, "", "VP6 is not supported"},
		{"an unknown codec", "1f 00", readVideo, tagOther, 0, "", "number 15 is not supported"},
		{"enhanced parameters", "90 61766331 0142", readVideo, tagConfig, 0, "0142", ""},
		{"enhanced picture", "a1 61766331 000021 aabb", readVideo, tagFrame, 33 * time.Millisecond, "aabb", ""},
		{"enhanced picture without offset", "a3 61766331 aabb", readVideo, tagFrame, 0, "aabb", ""},
		{"enhanced metadata", "84 61766331 aabb", readVideo, tagOther, 0, "", ""},
		{"enhanced, cut off", "a1 61766331 00", readVideo, tagOther, 0, "", "cut off"},
		{"enhanced, without a codec", "a1 6176", readVideo, tagOther, 0, "", "cut off"},
		{"AV1", "a1 61763031 00", readVideo, tagOther, 0, "", `"av01" is not supported`},
		{"the first of several tracks", "96 01 61766331 00 000021 aabb", readVideo, tagFrame, 33 * time.Millisecond, "aabb", ""},
		{"a further track", "96 01 61763031 01 000021 aabb", readVideo, tagFurther, 0, "", ""},
		{"tracks together", "96 13 61766331 01 000001 cc 00 000002 aabb", readVideo, tagFrame, 0, "aabb", ""},
		{"further tracks together", "96 13 61766331 01 000001 cc 02 000002 aabb", readVideo, tagFurther, 0, "", ""},
		{"tracks of several codecs", "96 20 61763031 01 000001 cc 61766331 00 000002 0142", readVideo, tagConfig, 0, "0142", ""},
		{"the first of several is AV1", "96 01 61763031 00 000021 aabb", readVideo, tagOther, 0, "", `"av01" is not supported`},
		{"a track that is longer than its message", "96 13 61766331 00 000003 aabb", readVideo, tagOther, 0, "", "cut off"},
		{"tracks, cut off", "96 13 61766331 01 0000", readVideo, tagOther, 0, "", "cut off"},

		{"no sound", "", readAudio, tagOther, 0, "", ""},
		{"AAC parameters", "af 00 1190", readAudio, tagConfig, 0, "1190", ""},
		{"a frame of AAC", "af 01 aabb", readAudio, tagFrame, 0, "aabb", ""},
		{"an empty frame", "af 01", readAudio, tagOther, 0, "", ""},
		{"AAC, cut off", "af", readAudio, tagOther, 0, "", "cut off"},
		{"MP3", "2f ffff", readAudio, tagOther, 0, "", "MP3 is not supported"},
		{"enhanced AAC parameters", "90 6d703461 1190", readAudio, tagConfig, 0, "1190", ""},
		{"enhanced AAC", "91 6d703461 aabb", readAudio, tagFrame, 0, "aabb", ""},
		{"the first of several sounds", "95 01 6d703461 00 aabb", readAudio, tagFrame, 0, "aabb", ""},
		{"a further sound", "95 01 6d703461 01 aabb", readAudio, tagFurther, 0, "", ""},
		{"AC-3", "91 61632d33 00", readAudio, tagOther, 0, "", `"ac-3" is not supported`},
		{"enhanced sound, cut off", "91 6d70", readAudio, tagOther, 0, "", "cut off"},
	} {
		got, err := c.read(unhex(t, c.body))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want one with %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil || got.kind != c.kind || got.offset != c.offset || !bytes.Equal(got.data, unhex(t, c.data)) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestParametersArePutInFrontOfAKeyFrame(t *testing.T) {
	sets := [][]byte{{0x67, 1}, {0x68, 2}}
	for _, c := range []struct{ name, data, want, err string }{
		{"a key frame without", "00000002 65aa", "6701 6802 65aa", ""},
		{"a key frame with its own", "00000002 6709 00000002 6809 00000002 65aa", "6709 6809 65aa", ""},
		{"a picture", "00000002 41aa", "41aa", ""},
		{"two slices, a delimiter and an empty unit", "00000002 09f0 00000002 41aa 00000000 00000002 41bb", "41aa 41bb", ""},
		{"nothing", "", "", ""},
		{"cut off in a size", "000000", "", "cut off"},
		{"cut off in a unit", "00000009 41", "", "cut off"},
		{"a size near 2^32", "ffffffff 41", "", "cut off"},
		{"too many parts", strings.Repeat("00000001 41", maxUnits+1), "", "more than 256 parts"},
	} {
		units, keyframe, err := accessUnit(unhex(t, c.data), sets)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want one with %q", c.name, err, c.err)
			}
			continue
		}
		if got, want := hex.EncodeToString(bytes.Join(units, nil)), strings.ReplaceAll(c.want, " ", ""); err != nil || got != want || keyframe != strings.Contains(c.want, "65aa") {
			t.Errorf("%s: %s, key frame %v, %v; want %s", c.name, got, keyframe, err, want)
		}
	}
}

func TestParametersThatMakeNoSense(t *testing.T) {
	good := avcConfig(30)[5:]
	if sets, err := parameterSets(good); err != nil || len(sets) != 2 {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	for n := range good {
		if sets, err := parameterSets(good[:n]); err == nil {
			t.Errorf("the first %d bytes gave %x", n, sets)
		}
	}
	if _, err := parameterSets(unhex(t, "0142c01eff e0 00")); err == nil {
		t.Error("parameters without a set were accepted")
	}
	for config, want := range map[string]string{
		"1190":         "",                  // AAC-LC, 48 kHz, stereo
		"1388":         "",                  // 22.05 kHz, mono
		"":             "are not supported", // nothing
		"0990":         "are not supported", // AAC Main
		"1180":         "is not supported",  // a layout of its own
		"178000640800": "Hz with the",       // 200 Hz, which ADTS cannot name
	} {
		_, err := soundConfig(unhex(t, config))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("AAC parameters %q: %v, want %q", config, err, want)
		}
	}
}

func TestSplitPath(t *testing.T) {
	for _, c := range []struct{ app, name, wantApp, wantKey string }{
		{"live", "key", "live", "key"},
		{"live", "key?token=1", "live", "key"},
		{"live?a=b", "key", "live", "key"},
		{"live/key", "", "live", "key"},
		{"live/", "/key/", "live", "key"},
		{"a/b", "key", "a/b", "key"},
		{"", "key", "key", ""},
		{"live", "", "live", ""},
		{"", "", "", ""},
	} {
		if app, key := splitPath(c.app, c.name); app != c.wantApp || key != c.wantKey {
			t.Errorf("%q and %q split into %q and %q, want %q and %q", c.app, c.name, app, key, c.wantApp, c.wantKey)
		}
	}
}

// A line is a connection whose other end has already said everything.
type line struct {
	io.Reader
	io.Writer
}

// FuzzConnection gives a whole connection's bytes to the server's side: after the
// handshake, anything. Nothing may panic, and it must come to an end.
func FuzzConnection(f *testing.F) {
	connect := "\x03\x00\x00\x00\x00\x00\x23\x14\x00\x00\x00\x00" + "\x02\x00\x07connect\x00\x3f\xf0\x00\x00\x00\x00\x00\x00\x03\x00\x03app\x02\x00\x04live\x00\x00\x09"
	publish := "\x03\x00\x00\x00\x00\x00\x1f\x14\x01\x00\x00\x00" + "\x02\x00\x07publish\x00\x40\x14\x00\x00\x00\x00\x00\x00\x05\x02\x00\x06secret\x05\x05"
	media := func(kind byte, body []byte) string {
		return "\x06\x00\x00\x10\x00\x00" + string([]byte{byte(len(body)), kind}) + "\x01\x00\x00\x00" + string(body)
	}
	f.Add([]byte(connect + publish + media(9, avcConfig(30)) + media(8, []byte{0xaf, 0, 0x11, 0x90}) + media(9, avcPicture(0x65)) + media(8, []byte{0xaf, 1, 9, 9})))
	f.Add([]byte(connect + publish + media(9, unhex(f, "96 13 61766331 01 000001 cc 00 000002 aabb")) + media(8, unhex(f, "95 01 6d703461 01 aabb"))))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x00\x00\x10\x00" + connect))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x06\x04\x00\x00\x00\x00\x00\x06\x00\x00\x00\x01"))
	handshake := "\x03" + strings.Repeat("\x00", 2*1536)
	f.Fuzz(func(t *testing.T, talk []byte) {
		c, err := greet(line{io.MultiReader(strings.NewReader(handshake), bytes.NewReader(talk)), io.Discard})
		if err != nil {
			t.Fatalf("the handshake failed: %v", err)
		}
		if _, err := c.negotiate(); err != nil {
			return
		}
		if err := c.admit(); err != nil {
			return
		}
		feed := &feed{logger: slog.New(slog.DiscardHandler), start: func(Publication) (Session, error) { return nothing{}, nil }}
		for {
			m, err := c.next()
			if err != nil {
				return
			}
			if _, err := feed.take(m, time.UnixMilli(1_763_785_210_000)); err != nil {
				return
			}
		}
	})
}

type nothing struct{}

func (nothing) Video(_, _ time.Duration, units [][]byte) error {
	for _, unit := range units {
		_ = unit[0] // no unit is empty: what comes after relies on it
	}
	return nil
}
func (nothing) Audio(time.Duration, []byte) error { return nil }
func (nothing) Close() error                      { return nil }
