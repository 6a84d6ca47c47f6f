package ingest_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"go.uber.org/goleak"

	"slipstream/origin/ingest"
	"slipstream/origin/logtest"
)

// gosrt's Dial, which only these tests use, leaves a goroutine behind when it is refused.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/datarhei/gosrt.Dial.func1"))
}

var (
	sps      = []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	pps      = []byte{0x68, 0x06, 0x07, 0x08}
	keyframe = []byte{0x65, 1, 2, 3}
	picture  = []byte{0x41, 4, 5, 6}
	aac      = &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2, ChannelCount: 2}
)

// A session records what it is given.
type session struct {
	is      ingest.Publication
	mu      sync.Mutex
	events  []string
	changed chan struct{} // gets a token with each event
	closing chan struct{} // if not nil, Close waits for it
	onVideo func()
}

func (s *session) add(event string) {
	s.mu.Lock()
	s.events = append(s.events, event)
	s.mu.Unlock()
	s.changed <- struct{}{}
}

func (s *session) Video(pts, dts time.Duration, au [][]byte) error {
	if s.onVideo != nil {
		s.onVideo()
	}
	s.add("video " + pts.String() + " " + dts.String() + " " + string(bytes.ToUpper([]byte(hexTypes(au)))))
	return nil
}

func (s *session) Audio(pts time.Duration, au []byte) error {
	s.add("audio " + pts.String())
	return nil
}

func (s *session) Close() error {
	if s.closing != nil {
		<-s.closing
	}
	s.add("close")
	return nil
}

// hexTypes names the kinds of the NAL units of a picture.
func hexTypes(au [][]byte) string {
	names := map[byte]string{7: "sps", 8: "pps", 5: "idr", 1: "slice"}
	var kinds []string
	for _, unit := range au {
		kinds = append(kinds, names[unit[0]&0x1f])
	}
	return strings.Join(kinds, "+")
}

// wait returns the events once there are n.
func (s *session) wait(t *testing.T, n int) []string {
	t.Helper()
	for {
		s.mu.Lock()
		events := append([]string(nil), s.events...)
		s.mu.Unlock()
		if len(events) >= n {
			return events
		}
		select {
		case <-s.changed:
		case <-time.After(10 * time.Second):
			t.Fatalf("after 10 s there are %d events instead of %d: %q", len(events), n, events)
		}
	}
}

// A lab is a server under test.
type lab struct {
	t        *testing.T
	server   *ingest.Server
	sessions chan *session
	log      *logtest.Buffer
	stop     func()
}

// serve starts a server with the key "secret" for the channel "demo" and "other" for "two".
func serve(t *testing.T, change func(*ingest.Config), prepare func(*session)) *lab {
	t.Helper()
	l := &lab{t: t, sessions: make(chan *session, 16), log: &logtest.Buffer{}}
	cfg := ingest.Config{
		Address:   "127.0.0.1:0",
		Authorize: ingest.StreamKeys("live", map[string]string{"demo": "secret", "two": "other"}),
		Logger:    slog.New(slog.NewTextHandler(l.log, nil)),
		Start: func(_ context.Context, p ingest.Publication) (ingest.Session, error) {
			s := &session{is: p, changed: make(chan struct{}, 1000)}
			if prepare != nil {
				prepare(s)
			}
			l.sessions <- s
			return s, nil
		},
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if l.server, err = ingest.Listen(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.server.Serve(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	t.Cleanup(l.stop)
	return l
}

func (l *lab) session() *session {
	l.t.Helper()
	select {
	case s := <-l.sessions:
		return s
	case <-time.After(10 * time.Second):
		l.t.Fatalf("no session began within 10 s; the log:\n%s", l.log)
		return nil
	}
}

// waitLog waits until the log has a text.
func (l *lab) waitLog(text string) {
	l.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(l.log.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("the log does not say %q:\n%s", text, l.log)
		}
	}
}

// dial connects a client; the path is like "/live#secret".
func (l *lab) dial(path string, publish bool) (*gortmplib.Client, error) {
	l.t.Helper()
	target, err := url.Parse("rtmp://" + l.server.Addr().String() + path)
	if err != nil {
		l.t.Fatal(err)
	}
	c := &gortmplib.Client{URL: target, Publish: publish}
	if err := c.Initialize(l.t.Context()); err != nil {
		return nil, err
	}
	l.t.Cleanup(c.Close)
	return c, nil
}

// A publisher sends pictures and sound.
type publisher struct {
	*gortmplib.Client
	t            *testing.T
	w            *gortmplib.Writer
	video, audio *gortmplib.Track
}

func (l *lab) publisher(path string, sound bool) *publisher {
	l.t.Helper()
	c, err := l.dial(path, true)
	if err != nil {
		l.t.Fatal(err)
	}
	p := &publisher{Client: c, t: l.t, video: &gortmplib.Track{Codec: &codecs.H264{SPS: sps, PPS: pps}}}
	p.w = &gortmplib.Writer{Conn: c, Tracks: []*gortmplib.Track{p.video}}
	if sound {
		p.audio = &gortmplib.Track{Codec: &codecs.MPEG4Audio{Config: aac}}
		p.w.Tracks = append(p.w.Tracks, p.audio)
	}
	if err := p.w.Initialize(); err != nil {
		l.t.Fatal(err)
	}
	return p
}

func (p *publisher) show(pts, dts time.Duration, unit []byte) {
	p.t.Helper()
	if err := p.w.WriteH264(p.video, pts, dts, [][]byte{unit}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) sound(pts time.Duration) {
	p.t.Helper()
	if err := p.w.WriteMPEG4Audio(p.audio, pts, []byte{1, 2, 3, 4}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) send(m message.Message) {
	p.t.Helper()
	if err := p.Write(m); err != nil {
		p.t.Fatal(err)
	}
}

// refusal reads until the server says why it sends the publisher away.
func (p *publisher) refusal() string {
	p.t.Helper()
	if err := p.NetConn().SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	for {
		m, err := p.Read()
		if err != nil {
			p.t.Fatalf("the server hung up without a word: %v", err)
		}
		cmd, ok := m.(*message.CommandAMF0)
		if !ok || cmd.Name != "onStatus" || len(cmd.Arguments) < 2 {
			continue
		}
		if o, ok := cmd.Arguments[1].(amf0.Object); ok {
			if level, _ := o.GetString("level"); level == "error" {
				description, _ := o.GetString("description")
				return description
			}
		}
	}
}
