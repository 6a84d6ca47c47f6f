package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/message"

	"slipstream/origin/ingest"
)

const ms = time.Millisecond

func TestAPublisherReachesItsSession(t *testing.T) {
	l := serve(t, nil, nil)
	before := time.Now().UnixMilli()
	p := l.publisher("/live#secret", true)
	p.sound(10 * ms)              // before the first picture: dropped
	p.show(20*ms, 20*ms, picture) // no key frame yet: dropped
	p.show(120*ms, 40*ms, keyframe)
	p.sound(50 * ms)
	p.show(80*ms, 73*ms, picture)
	s := l.session()
	if s.is.Channel != "demo" || s.is.FirstPTS != 120*ms || s.is.Audio == nil || s.is.Audio.SampleRate != 48000 {
		t.Errorf("the publication is %+v", s.is)
	}
	if now := time.Now().UnixMilli(); s.is.ArrivedMs < before || s.is.ArrivedMs > now {
		t.Errorf("the first picture arrived at %d, not between %d and %d", s.is.ArrivedMs, before, now)
	}
	s.wait(t, 3)
	p.Close()
	want := []string{"video 120ms 40ms SPS+PPS+IDR", "audio 50ms", "video 80ms 73ms SLICE", "close"}
	if got := s.wait(t, 4); !slices.Equal(got, want) {
		t.Errorf("the session got %q, want %q", got, want)
	}
	l.waitLog("the publisher has hung up")
}

func TestAPublisherWithoutSound(t *testing.T) {
	l := serve(t, nil, nil)
	p := l.publisher("/live#secret", false)
	p.show(0, 0, keyframe)
	if s := l.session(); s.is.Audio != nil {
		t.Errorf("the session expects sound: %+v", s.is.Audio)
	}
}

func TestTheStreamKeyMayBePartOfThePath(t *testing.T) {
	l := serve(t, nil, nil)
	for _, path := range []string{"/live/secret", "/live#secret?x=1", "/live/#secret", "/live#/secret/"} {
		p := l.publisher(path, false)
		p.show(0, 0, keyframe)
		s := l.session()
		p.Close()
		s.wait(t, 2)
	}
}

func TestWhoIsSentAway(t *testing.T) {
	l := serve(t, nil, nil)
	for _, c := range []struct {
		name, path string
		publish    bool
		want       string
	}{
		{"wrong key", "/live#guess", true, "the stream key is wrong"},
		{"no key", "/live", true, "the stream key is wrong"},
		{"another application", "/vod#secret", true, `there is no application \"vod\" here: publish to /live`},
		{"a player", "/live#secret", false, "this address takes publishers only: watch over HTTP"},
	} {
		_, err := l.dial(c.path, c.publish)
		if told := strings.ReplaceAll(c.want, `\`, ""); err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("%s: the client is told %v, want %q", c.name, err, told)
		}
		l.waitLog(c.want)
	}
	if strings.Contains(l.log.String(), "guess") {
		t.Errorf("the log repeats a stream key:\n%s", l.log)
	}
	select {
	case s := <-l.sessions:
		t.Errorf("a session began for %+v", s.is)
	default:
	}
}

func TestAChannelHasOnePublisher(t *testing.T) {
	l := serve(t, nil, nil)
	first := l.publisher("/live#secret", false)
	first.show(0, 0, keyframe)
	s := l.session()
	if _, err := l.dial("/live#secret", true); err == nil || !strings.Contains(err.Error(), `the channel "demo" already has a publisher`) {
		t.Errorf("the second publisher is told: %v", err)
	}
	other := l.publisher("/live#other", false) // another channel is free
	other.show(0, 0, keyframe)
	if s := l.session(); s.is.Channel != "two" {
		t.Errorf("the other key publishes %q", s.is.Channel)
	}
	first.show(33*ms, 33*ms, picture) // and the first goes on
	s.wait(t, 2)
}

// A publisher that reconnects at once waits for its own last segments instead of being
// told that it is still there.
func TestAPublisherMayReturnWhileItsSessionEnds(t *testing.T) {
	release := make(chan struct{})
	l := serve(t, nil, func(s *session) { s.closing = release })
	p := l.publisher("/live#secret", false)
	p.show(0, 0, keyframe)
	first := l.session()
	first.wait(t, 1)
	p.Close()
	l.waitLog("a publication ends")
	returned := make(chan *publisher)
	go func() {
		p := l.publisher("/live#secret", false)
		p.show(0, 0, keyframe)
		returned <- p
	}()
	select {
	case <-returned:
		t.Error("the new publication began before the old one had ended")
	case <-time.After(50 * ms):
	}
	close(release)
	<-returned
	l.session()
	if got := first.wait(t, 2); got[1] != "close" {
		t.Errorf("the first session got %q", got)
	}
}

func TestUnsupportedCodecsAreNamed(t *testing.T) {
	l := serve(t, nil, nil)
	for _, c := range []struct {
		want string
		m    message.Message
	}{
		{"the audio codec MP3 is not supported: publish AAC", &message.Audio{ChunkStreamID: 4, MessageStreamID: 1 << 24, Codec: message.CodecMPEG1Audio, AU: []byte{1, 2}}},
		{`the audio codec "Opus" is not supported: publish AAC`, &message.AudioExCodedFrames{ChunkStreamID: 4, MessageStreamID: 1 << 24, FourCC: message.FourCCOpus, Payload: []byte{1}}},
		{`the video codec "hvc1" is not supported: publish H.264`, &message.VideoExFramesX{ChunkStreamID: 6, MessageStreamID: 1 << 24, FourCC: message.FourCCHEVC, Payload: []byte{1, 2, 3}}},
		{"the video codec H.265 is not supported: publish H.264", &message.Video{ChunkStreamID: 6, MessageStreamID: 1 << 24, Codec: message.CodecH265, Type: message.VideoTypeAU, AU: []byte{1}}},
	} {
		p := l.publisher("/live#secret", false)
		p.send(c.m)
		if got := p.refusal(); got != c.want {
			t.Errorf("the publisher is told %q, want %q", got, c.want)
		}
		p.Close()
		l.waitLog(strings.ReplaceAll(c.want, `"`, `\"`))
	}
}

func TestThePublisherSaysGoodBye(t *testing.T) {
	l := serve(t, nil, nil)
	p := l.publisher("/live#secret", false)
	p.show(0, 0, keyframe)
	s := l.session()
	p.send(&message.CommandAMF0{ChunkStreamID: 3, Name: "deleteStream", CommandID: 7, Arguments: []any{nil, float64(1)}})
	s.wait(t, 2)
	l.waitLog("the publisher has ended the stream")
}

func TestBadBytesEndTheirConnectionOnly(t *testing.T) {
	l := serve(t, nil, nil)
	good := l.publisher("/live#other", false)
	good.show(0, 0, keyframe)
	goodSession := l.session()

	for _, c := range []struct{ name, bytes, want string }{
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", "does not speak RTMP"},
		{"encrypted", "\x06", "does not speak RTMP"},
		{"half a handshake", "\x03" + strings.Repeat("a", 100), "the RTMP handshake failed: unexpected EOF"},
		{"noise after the handshake", "\x03" + strings.Repeat("\x00", 2*1536) + strings.Repeat("\x00", 100), "extended chunk stream IDs are not supported"},
	} {
		conn, err := net.Dial("tcp", l.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, c.bytes)
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn) // until the server hangs up
		conn.Close()
		l.waitLog(c.want)
	}
	for name, m := range map[string]message.Message{
		"a picture is cut off":           &message.Video{ChunkStreamID: 6, MessageStreamID: 1 << 24, Codec: message.CodecH264, Type: message.VideoTypeAU, AU: []byte{0, 0, 1, 0, 5}},
		"a frame of sound has":           &message.Audio{ChunkStreamID: 4, MessageStreamID: 1 << 24, Codec: message.CodecMPEG4Audio, AACType: message.AudioAACTypeAU, AU: make([]byte, 9000)},
		"values of an RTMP message make": &message.CommandAMF0{ChunkStreamID: 3, Name: "x", Arguments: []any{nil}},
	} {
		bad := l.publisher("/live#secret", true)
		bad.show(0, 0, keyframe)
		s := l.session()
		s.wait(t, 1)
		if name == "values of an RTMP message make" {
			// An AMF0 command whose last value is of a kind that does not exist.
			bad.NetConn().Write(append([]byte{0x03, 0, 0, 0, 0, 0, 5, 20, 0, 0, 0, 0}, 0x02, 0, 1, 'x', 0x55))
		} else {
			bad.send(m)
		}
		s.wait(t, 2)
		l.waitLog(name)
		bad.Close()
	}

	good.show(33*ms, 33*ms, picture)
	goodSession.wait(t, 2)
}

// Nothing that a stranger sends may cost much: not bytes, not recursion, not promises.
func TestAStrangerIsBounded(t *testing.T) {
	l := serve(t, nil, nil)
	hello := append([]byte{3}, make([]byte, 2*1536)...)
	nested := append([]byte{0x02, 0, 1, 'x', 0x00, 0, 0, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{0x0a, 0, 0, 0, 1}, 10000)...)
	chunk := func(kind byte, size int, body []byte) []byte {
		return append([]byte{0x03, 0, 0, 0, byte(size >> 16), byte(size >> 8), byte(size), kind, 0, 0, 0, 0}, body...)
	}
	setChunk := chunk(1, 4, []byte{0x7f, 0xff, 0xff, 0xff})
	for _, c := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"too much talk", slices.Concat(hello, setChunk, chunk(18, 60000, make([]byte, 60000)), chunk(18, 60000, make([]byte, 60000))), "more than 65536 bytes before it published"},
		{"tiny chunks", slices.Concat(hello, chunk(1, 4, []byte{0, 0, 0, 0})), "chunks of 0 bytes"},
		{"deeply nested values", slices.Concat(hello, setChunk, chunk(20, len(nested), nested)), "make no sense"},
	} {
		conn, err := net.Dial("tcp", l.server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(c.bytes)
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
		conn.Close()
		l.waitLog(c.want)
	}
}

func TestASilentPublisherIsGivenUp(t *testing.T) {
	t.Parallel()
	l := serve(t, func(c *ingest.Config) { c.IdleTimeout = time.Second }, nil)
	p := l.publisher("/live#secret", false)
	p.show(0, 0, keyframe)
	s := l.session()
	if got := s.wait(t, 2); got[1] != "close" {
		t.Errorf("the session got %q", got)
	}
	l.waitLog("silent for too long")
	p.Close()
	l.publisher("/live#secret", false) // the channel is free again
}

func TestTheContextEndsEverything(t *testing.T) {
	l := serve(t, nil, nil)
	p := l.publisher("/live#secret", false)
	p.show(0, 0, keyframe)
	s := l.session()
	l.stop()
	if got := s.wait(t, 2); got[1] != "close" {
		t.Errorf("the session got %q", got)
	}
	if _, err := net.Dial("tcp", l.server.Addr().String()); err == nil {
		t.Error("the server still listens")
	}
}

func TestAnAddressInUseIsASentence(t *testing.T) {
	l := serve(t, nil, nil)
	address := l.server.Addr().String()
	err := ingest.Run(t.Context(), ingest.Config{
		Address: address, Authorize: ingest.StreamKeys("live", nil),
		Start: func(context.Context, ingest.Publication) (ingest.Session, error) { return nil, nil },
	})
	if err == nil || !strings.HasPrefix(err.Error(), "RTMP cannot listen on "+address) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the error is %v", err)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	l := serve(t, func(c *ingest.Config) { c.MaxConnections = 1 }, nil)
	p := l.publisher("/live#secret", false)
	if _, err := l.dial("/live#other", true); err == nil {
		t.Error("a second connection was served")
	}
	p.show(0, 0, keyframe)
	s := l.session()
	p.Close()
	s.wait(t, 2)
}

func TestASessionThatCannotBegin(t *testing.T) {
	l := serve(t, func(c *ingest.Config) {
		c.Start = func(context.Context, ingest.Publication) (ingest.Session, error) {
			return nil, errors.New("the disk is full")
		}
	}, nil)
	p := l.publisher("/live#secret", false)
	p.show(0, 0, keyframe)
	if got, want := p.refusal(), "the channel cannot be published at the moment: the disk is full"; got != want {
		t.Errorf("the publisher is told %q, want %q", got, want)
	}
}

// A defect behind one connection must not take the other channels off the air.
func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	l := serve(t, nil, func(s *session) {
		if s.is.Channel == "demo" {
			s.onVideo = func() { panic("a defect") }
		}
	})
	good := l.publisher("/live#other", false)
	good.show(0, 0, keyframe)
	goodSession := l.session()
	bad := l.publisher("/live#secret", false)
	bad.show(0, 0, keyframe)
	if got := l.session().wait(t, 1); got[0] != "close" {
		t.Errorf("the session got %q", got)
	}
	l.waitLog("a defect")
	good.show(33*ms, 33*ms, picture)
	goodSession.wait(t, 2)
}

func TestStreamKeys(t *testing.T) {
	authorize := ingest.StreamKeys("live", map[string]string{"demo": "secret", "two": "other", "closed": ""})
	for _, c := range []struct{ app, key, channel, err string }{
		{"live", "secret", "demo", ""},
		{"live", "other", "two", ""},
		{"live", "", "", "the stream key is wrong"},
		{"live", "secre", "", "the stream key is wrong"},
		{"live", "secrets", "", "the stream key is wrong"},
		{"live", "demo", "", "the stream key is wrong"},
		{"vod\n", "secret", "", `there is no application "vod\n" here: publish to /live`},
	} {
		channel, err := authorize(c.app, c.key, "192.0.2.1:1")
		if channel != c.channel || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q %q: channel %q, %v; want %q, %q", c.app, c.key, channel, err, c.channel, c.err)
		}
	}
}
