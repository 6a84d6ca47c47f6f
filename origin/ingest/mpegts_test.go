package ingest

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	testPPS = []byte{0x68, 0x06, 0x07, 0x08}
)

// transportOf writes a stream with tracks, and pictures 40 ms apart with these NAL units.
func transportOf(t testing.TB, tracks []*mpegts.Track, pictures ...[][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := &mpegts.Writer{W: &b, Tracks: tracks}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	for _, track := range tracks {
		if _, sound := track.Codec.(*codecs.MPEG4Audio); sound {
			if err := w.WriteMPEG4Audio(track, 0, [][]byte{{1, 2, 3, 4}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, units := range pictures {
		if err := w.WriteH264(tracks[0], int64(i)*3600, int64(i)*3600, units); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func pictureTrack() *mpegts.Track { return &mpegts.Track{Codec: &codecs.H264{}} }

func soundTrack() *mpegts.Track {
	return &mpegts.Track{Codec: &codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2, ChannelCount: 2}}}
}

// play reads a stream to its end.
func play(t *testing.T, stream []byte) (events []string, err error) {
	s := newScript(t)
	err = (&transport{feed: s.feed, ctx: t.Context(), progress: func() {}}).read(bytes.NewReader(stream))
	if err == nil {
		t.Fatal("reading ended without a reason")
	}
	return s.events, err
}

// Other parameter sets in the midst of a stream are another picture: a session of its own.
func TestAChangedPictureBeginsASession(t *testing.T) {
	other := bytes.Clone(testSPS)
	other[3] = 0x1f
	key, slice := []byte{0x65, 1, 2, 3}, []byte{0x41, 4, 5, 6}
	events, _ := play(t, transportOf(t, []*mpegts.Track{pictureTrack()},
		[][]byte{testSPS, testPPS, key}, [][]byte{slice}, [][]byte{testSPS, testPPS, key}, [][]byte{other, testPPS, key}, [][]byte{key}, [][]byte{slice}))
	story := strings.Join(events, "; ")
	if strings.Count(story, "start") != 2 || strings.Count(story, "close") != 1 {
		t.Errorf("the story is %s", story)
	}
}

func TestStreamsThatCannotBePublished(t *testing.T) {
	hevc := &mpegts.Track{Codec: &codecs.H265{}}
	for name, c := range map[string]struct {
		stream []byte
		says   string
	}{
		"text":        {[]byte(strings.Repeat("GET / HTTP/1.1\r\n", 100)), "this is no MPEG transport stream"},
		"nothing":     {nil, "this is no MPEG transport stream"},
		"sound alone": {transportOf(t, []*mpegts.Track{soundTrack()}), "no H.264 picture: publish H.264 and AAC"},
		"HEVC":        {transportOf(t, []*mpegts.Track{hevc, soundTrack()}), "no H.264 picture: publish H.264 and AAC"},
	} {
		if _, err := play(t, c.stream); !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// FuzzTransport gives a feed whatever comes over SRT: nothing may panic or go on for ever.
func FuzzTransport(f *testing.F) {
	key, slice := []byte{0x65, 1, 2, 3}, []byte{0x41, 4, 5, 6}
	f.Add(transportOf(f, []*mpegts.Track{pictureTrack(), soundTrack()}, [][]byte{testSPS, testPPS, key}, [][]byte{slice}, [][]byte{slice}))
	f.Add(transportOf(f, []*mpegts.Track{pictureTrack()}, [][]byte{{9, 0xf0}, key}, [][]byte{slice}))
	f.Add(bytes.Repeat([]byte{0x47, 0x40, 0, 0x10}, 94))
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 1<<16 {
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // whatever should be held back ends the connection instead
		feed := &feed{channel: "demo", logger: slog.New(slog.DiscardHandler), start: func(Publication) (Session, error) { return silent{}, nil }}
		if err := (&transport{feed: feed, ctx: ctx, progress: func() {}}).read(bytes.NewReader(stream)); err == nil {
			t.Fatal("reading ended without a reason")
		}
	})
}

type silent struct{}

func (silent) Video(_, _ time.Duration, _ [][]byte) error { return nil }
func (silent) Audio(time.Duration, []byte) error          { return nil }
func (silent) Close() error                               { return nil }
