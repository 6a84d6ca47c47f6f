package ingest_test

import (
	"bufio"
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	srt "github.com/datarhei/gosrt"

	"slipstream/origin/child"
	"slipstream/origin/ingest"
)

func serveSRT(t *testing.T, change func(*ingest.Config)) *lab {
	t.Helper()
	return serve(t, func(cfg *ingest.Config) {
		cfg.SRT = "127.0.0.1:0"
		if change != nil {
			change(cfg)
		}
	}, nil)
}

// caller is an SRT publisher that sends what the test writes.
func (l *lab) caller(streamID string) (srt.Conn, error) {
	l.t.Helper()
	cfg := srt.DefaultConfig()
	cfg.StreamId = streamID
	conn, err := srt.Dial("srt", l.server.SRTAddr().String(), cfg)
	if err == nil {
		l.t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

func (l *lab) mustCall(streamID string) srt.Conn {
	l.t.Helper()
	conn, err := l.caller(streamID)
	if err != nil {
		l.t.Fatal(err)
	}
	return conn
}

// packets sends a transport stream in SRT's portions of seven packets.
type packets struct{ conn srt.Conn }

func (p packets) Write(b []byte) (int, error) {
	const portion = 7 * 188
	for sent := 0; sent < len(b); sent += portion {
		if _, err := p.conn.Write(b[sent:min(sent+portion, len(b))]); err != nil {
			return sent, err
		}
	}
	return len(b), nil
}

// A stream is a transport stream on its way.
type stream struct {
	t     *testing.T
	out   *bufio.Writer
	w     *mpegts.Writer
	video *mpegts.Track
	audio *mpegts.Track
}

func newStream(t *testing.T, conn srt.Conn) *stream {
	t.Helper()
	s := &stream{t: t, out: bufio.NewWriterSize(packets{conn}, 1<<20), video: &mpegts.Track{Codec: &codecs.H264{}}, audio: &mpegts.Track{Codec: &codecs.MPEG4Audio{Config: *aac}}}
	s.w = &mpegts.Writer{W: s.out, Tracks: []*mpegts.Track{s.video, s.audio}}
	if err := s.w.Initialize(); err != nil {
		t.Fatal(err)
	}
	s.sound(0) // the reader looks at a frame before it knows the sound's parameters
	return s
}

func ticks(d time.Duration) int64 { return int64(d * 9 / 100 / time.Microsecond) }

func (s *stream) show(pts, dts time.Duration, units ...[]byte) {
	s.t.Helper()
	if err := s.w.WriteH264(s.video, ticks(pts), ticks(dts), units); err != nil {
		s.t.Fatal(err)
	}
	s.flush()
}

func (s *stream) sound(pts time.Duration) {
	s.t.Helper()
	if err := s.w.WriteMPEG4Audio(s.audio, ticks(pts), [][]byte{{1, 2, 3, 4}, {5, 6, 7, 8}}); err != nil {
		s.t.Fatal(err)
	}
	s.flush()
}

func (s *stream) flush() {
	if err := s.out.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

func TestAnSRTPublisherReachesItsSession(t *testing.T) {
	l := serveSRT(t, nil)
	conn := l.mustCall("#!::m=publish,r=live/secret")
	p := newStream(t, conn)
	const wrap = 95443717688888 * time.Nanosecond // 2³³ ticks
	begin := wrap - 100*ms
	p.show(begin, begin, picture) // no key frame yet: dropped
	p.show(begin+120*ms, begin+40*ms, sps, pps, keyframe)
	p.show(begin+240*ms, begin+200*ms, picture) // beyond 33 bits; a picture ends where the next one begins
	s := l.session()
	p.sound(begin + 180*ms)
	p.show(begin+280*ms, begin+240*ms, keyframe)
	p.show(begin+320*ms, begin+280*ms, picture)
	if s.is.Channel != "demo" || s.is.Protocol != "SRT" || s.is.Audio == nil || s.is.Audio.SampleRate != 48000 {
		t.Errorf("the publication is %+v", s.is)
	}
	first := s.is.FirstPTS
	got := s.wait(t, 5)[:5]
	want := []string{
		"video " + first.String() + " " + (first - 80*ms).String() + " SPS+PPS+IDR",
		"audio " + (first + 60*ms).String(),
		"audio " + (first + 60*ms + 1024*time.Second/48000).String(),
		"video " + (first + 120*ms).String() + " " + (first + 80*ms).String() + " SLICE",
		"video " + (first + 160*ms).String() + " " + (first + 120*ms).String() + " SPS+PPS+IDR",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the session got\n\t%q, want\n\t%q", got, want)
	}
	conn.Close()
	l.waitLog("the publisher has hung up")
}

func TestWhoIsSentAwayOverSRT(t *testing.T) {
	l := serveSRT(t, nil)
	for id, want := range map[string]string{
		"live/guess":           "the stream key is wrong",
		"":                     "there is no application",
		"#!::m=publish":        "there is no application",
		"#!::r=vod/secret,m=x": `there is no application \"vod\" here: publish to /live`,
	} {
		if _, err := l.caller(id); err == nil {
			t.Errorf("%q was let in", id)
		}
		l.waitLog(want)
	}
	if strings.Contains(l.log.String(), "guess") {
		t.Errorf("the log repeats a stream key:\n%s", l.log)
	}
}

func TestAChannelHasOnePublisherOverAnyProtocol(t *testing.T) {
	l := serveSRT(t, nil)
	p := l.publisher("/live#secret", false)
	p.show(0, 0, keyframe)
	l.session()
	if _, err := l.caller("live/secret"); err == nil {
		t.Error("a second publisher was let in")
	}
	l.waitLog(`the channel \"demo\" already has a publisher`)
	l.mustCall("live/other") // another channel is free
	if _, err := l.dial("/live#other", true); err == nil || !strings.Contains(err.Error(), "already has a publisher") {
		t.Errorf("RTMP beside SRT: %v", err)
	}
}

func TestBadBytesOverSRTEndTheirConnection(t *testing.T) {
	l := serveSRT(t, func(cfg *ingest.Config) { cfg.IdleTimeout = 300 * ms })
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"silence": {nil, "no picture has come for 300ms"},
		"noise":   {bytes.Repeat([]byte("this is no transport stream "), 1000), "the publisher was s"}, // sent away, or silent
	} {
		conn := l.callWhenFree("live/secret") // the one before has set it free
		if _, err := (packets{conn}).Write(c.bytes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		l.waitLog(c.want)
	}
	l.callWhenFree("live/secret")
}

func (l *lab) callWhenFree(streamID string) srt.Conn {
	l.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * ms) {
		if conn, err := l.caller(streamID); err == nil {
			return conn
		}
		if time.Now().After(deadline) {
			l.t.Fatal("the channel stays taken")
		}
	}
}

func TestFFmpegPublishesOverSRT(t *testing.T) {
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
	l := serveSRT(t, nil)
	ffmpeg := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25", "-f", "lavfi", "-i", "sine",
		"-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-bf", "2", "-c:a", "aac", "-f", "mpegts",
		"srt://"+l.server.SRTAddr().String()+"?streamid=live/secret")
	if out, err := ffmpeg.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := l.session()
	l.waitLog("the publisher has hung up")
	// What is on its way when ffmpeg hangs up is lost; before that nothing is.
	var pictures, sounds []time.Duration
	for _, event := range s.wait(t, 1) {
		fields := strings.Fields(event)
		switch fields[0] {
		case "video":
			pictures = append(pictures, parsed(t, fields[2]))
		case "audio":
			sounds = append(sounds, parsed(t, fields[1]))
		}
	}
	for _, c := range []struct {
		of    []time.Duration
		apart time.Duration
		least int
	}{{pictures, 40 * ms, 25}, {sounds, 1024 * time.Second / 44100, 30}} {
		if len(c.of) < c.least {
			t.Errorf("only %d came", len(c.of))
		}
		for i := 1; i < len(c.of); i++ {
			if d := c.of[i] - c.of[i-1] - c.apart; d < -ms || d > ms {
				t.Errorf("number %d comes %v after the one before", i, c.of[i]-c.of[i-1])
			}
		}
	}
}

func parsed(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
