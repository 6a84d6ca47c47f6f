package playout

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"pgregory.net/rapid"

	"slipstream/origin/switcher"
)

const epoch = int64(1_800_000_000_000)

var (
	aac      = Sound{AAC: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48_000, ChannelConfig: 2, ChannelCount: 2}}
	other    = Sound{AAC: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44_100, ChannelConfig: 2, ChannelCount: 2}}
	aacFrame = 1024 * time.Second / 48_000
)

// A tape is an encoder that remembers what it was given.
type tape struct {
	Encoding
	t        errorer
	pictures []shot
	sounds   []shot
	closed   bool
}

type errorer interface{ Errorf(string, ...any) }

type shot struct {
	at   time.Duration
	from string
}

func (e *tape) Video(pts, dts time.Duration, unit [][]byte) error {
	if n := len(e.pictures); e.closed || pts < dts || n > 0 && e.pictures[n-1].at >= pts {
		e.t.Errorf("picture %v (%v) of %s comes after %+v; closed: %v", pts, dts, unit[0], e.pictures[n-1:], e.closed)
	}
	e.pictures = append(e.pictures, shot{pts, string(unit[0][1:])})
	return nil
}

func (e *tape) Audio(pts time.Duration, frame []byte) error {
	from := string(frame)
	if slices.Equal(frame, aac.silence()) {
		from = "silence"
	}
	if n := len(e.sounds); e.closed || n > 0 && pts-e.sounds[n-1].at < aacFrame/2-time.Microsecond {
		e.t.Errorf("sound of %s at %v comes after %+v; closed: %v", from, pts, e.sounds[n-1:], e.closed)
	}
	e.sounds = append(e.sounds, shot{pts, from})
	return nil
}

func (e *tape) Close() error {
	e.closed = true
	return nil
}

// A stage has a clock of its own. Its cameras give 25 pictures and 25 frames of sound a second.
type stage struct {
	t       errorer
	playout *Playout
	now     time.Time
	tapes   []*tape
	cameras []*camera
	story   []string // what Changed was told
	fails   error
	offMs   int64 // the clock of the day was set by so much
}

type camera struct {
	name    string
	input   *Input
	sound   bool // it sends any
	frozen  bool
	began   time.Time
	started time.Duration // its own clock then
	count   int
	last    time.Duration
}

func newStage(t errorer, slate bool) *stage {
	s := &stage{t: t, now: time.UnixMilli(epoch)}
	cfg := Config{
		Policy:    switcher.Policy{PatienceMs: 1000, SteadyMs: 5000, SlateMs: 20_000},
		FrameRate: 25, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.now },
		After: func() int64 { return epoch/2000 - 1 },
		Start: func(e Encoding) (Encoder, error) {
			if s.fails != nil {
				return nil, s.fails
			}
			s.tapes = append(s.tapes, &tape{Encoding: e, t: t})
			return s.tapes[len(s.tapes)-1], nil
		},
		Changed: func(on switcher.Source, protocol string) { s.story = append(s.story, on.String()) },
	}
	if slate {
		cfg.Slate = &Slate{units: [][][]byte{{[]byte("eslate")}, {[]byte("aslate")}}}
	}
	s.playout = New(cfg)
	return s
}

func (s *stage) join(name string, backup bool, sound Sound) *camera {
	c := &camera{name: name, sound: sound.any(), began: s.now, started: 77 * time.Second}
	var err error
	if c.input, err = s.playout.Join(Publication{Backup: backup, Protocol: "RTMP", Sound: sound, FirstPTS: c.started, ArrivedMs: s.now.UnixMilli() + s.offMs}); err != nil {
		s.t.Errorf("%s cannot join: %v", name, err)
	}
	s.cameras = append(s.cameras, c)
	return c
}

func (s *stage) leave(c *camera) {
	if err := c.input.Close(); err != nil {
		s.t.Errorf("%s cannot leave: %v", c.name, err)
	}
	s.cameras = slices.DeleteFunc(s.cameras, func(x *camera) bool { return x == c })
}

// pass lets time go by.
func (s *stage) pass(d time.Duration) {
	const step = 40 * time.Millisecond
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(step) {
		s.playout.tick()
		for _, c := range s.cameras {
			s.send(c)
		}
	}
}

func (s *stage) send(c *camera) {
	if c.frozen {
		return
	}
	at := c.started + s.now.Sub(c.began)
	if at <= c.last {
		return
	}
	c.last = at
	kind := "a"
	if c.count%25 == 0 {
		kind = "e" // 0x65
	}
	c.count++
	if err := c.input.Video(at, at, [][]byte{[]byte(kind + c.name)}); err != nil && s.fails == nil {
		s.t.Errorf("%s: %v", c.name, err)
	}
	if c.sound {
		if err := c.input.Audio(at, []byte(c.name)); err != nil {
			s.t.Errorf("%s: %v", c.name, err)
		}
	}
}

// told joins runs of what came from one source, with where they begin, in tenths of a second.
func told(shots []shot) string {
	var parts []string
	last := ""
	for _, s := range shots {
		if s.from != last {
			parts = append(parts, fmt.Sprintf("%.1f %s", s.at.Seconds(), s.from))
			last = s.from
		}
	}
	return strings.Join(parts, ", ")
}

func (s *stage) want(t *testing.T, encoders int, pictures, sounds, story string) {
	t.Helper()
	if len(s.tapes) != encoders {
		t.Fatalf("%d encoders were started, want %d", len(s.tapes), encoders)
	}
	last := s.tapes[encoders-1]
	if got := told(last.pictures); got != pictures {
		t.Errorf("pictures: %s; want %s", got, pictures)
	}
	if got := told(last.sounds); got != sounds {
		t.Errorf("sounds: %s; want %s", got, sounds)
	}
	if got := strings.Join(s.story, ", "); got != story {
		t.Errorf("the output was %s; want %s", got, story)
	}
}

func TestOneEncoderGoesThroughSlate(t *testing.T) {
	s := newStage(t, true)
	first := s.join("one", false, aac)
	s.pass(3 * time.Second)
	s.leave(first)
	s.pass(5 * time.Second)
	second := s.join("two", false, aac)
	s.pass(2 * time.Second)
	s.want(t, 1, "0.0 one, 4.0 slate, 8.0 two", "0.0 one, 3.0 silence, 8.0 two", "primary, slate, primary")
	for _, c := range []struct {
		fromMs, toMs int64
		slate        bool
	}{{0, 3990, false}, {3000, 4100, true}, {5000, 6000, true}, {7900, 9000, true}, {8040, 10_000, false}} {
		if got := s.playout.Shown(epoch+c.fromMs, epoch+c.toMs); got != c.slate {
			t.Errorf("slate from %d to %d ms: %v", c.fromMs, c.toMs, got)
		}
	}
	s.leave(second)
	s.pass(30 * time.Second)
	if !s.tapes[0].closed || s.playout.Shown(epoch+40_000, epoch+41_000) {
		t.Error("slate goes on after its time")
	}
	s.join("three", false, aac)
	s.pass(time.Second)
	if s.tapes[1].EpochMs != epoch+40_000 || s.tapes[1].FirstPTS != 0 {
		t.Errorf("a channel that was off the air begins at %d ms (%v), not with the clock", s.tapes[1].EpochMs-epoch, s.tapes[1].FirstPTS)
	}
}

func TestWithoutSlateTheChannelGoesWithItsPublisher(t *testing.T) {
	s := newStage(t, false)
	c := s.join("one", false, aac)
	s.pass(time.Second)
	s.leave(c)
	if !s.tapes[0].closed {
		t.Error("the encoder goes on")
	}
	s.want(t, 1, "0.0 one", "0.0 one", "primary, nothing")
}

func TestWhoReturnsWithoutSoundGetsSilence(t *testing.T) {
	for _, slate := range []bool{false, true} {
		s := newStage(t, slate)
		c := s.join("one", false, aac)
		s.pass(2 * time.Second)
		s.leave(c)
		s.join("two", false, Sound{})
		s.pass(2 * time.Second)
		if slate {
			s.want(t, 1, "0.0 one, 2.0 two", "0.0 one, 2.0 silence", "primary, primary")
			continue
		}
		s.want(t, 2, "0.0 two", "0.0 silence", "primary, nothing, primary")
		if !s.tapes[1].Sound.same(aac) {
			t.Errorf("the track is gone: %+v", s.tapes[1].Sound)
		}
	}
}

func TestSoundThatStopsIsReplacedAndComesBack(t *testing.T) {
	s := newStage(t, false)
	c := s.join("one", false, aac)
	s.pass(2 * time.Second)
	c.sound = false
	s.pass(3 * time.Second)
	c.sound = true
	s.pass(time.Second)
	s.want(t, 1, "0.0 one", "0.0 one, 2.0 silence, 5.0 one", "primary")
	for _, hole := range []struct{ from, to time.Duration }{{1900 * time.Millisecond, 5100 * time.Millisecond}} {
		last := hole.from
		for _, sound := range s.tapes[0].sounds {
			if sound.at < hole.from || sound.at > hole.to {
				continue
			}
			if sound.at-last > 2*aacFrame {
				t.Errorf("nothing is heard from %v to %v", last, sound.at)
			}
			last = sound.at
		}
	}
}

func TestSoundOfAnotherKindNeedsAnotherEncoder(t *testing.T) {
	s := newStage(t, true)
	c := s.join("one", false, aac)
	s.pass(2 * time.Second)
	s.leave(c)
	s.join("two", false, other)
	s.pass(time.Second)
	if !s.tapes[0].closed {
		t.Error("two encoders run at once")
	}
	s.want(t, 2, "2.0 two", "2.0 two", "primary, primary")
	if e := s.tapes[1]; !e.Sound.same(other) || e.EpochMs != epoch+2000 || e.FirstPTS != 2*time.Second {
		t.Errorf("%+v", e.Encoding)
	}
}

func TestABackupTakesOverAndGivesBack(t *testing.T) {
	s := newStage(t, true)
	primary := s.join("one", false, aac)
	s.pass(500 * time.Millisecond)
	s.join("two", true, aac)
	if _, err := s.playout.Join(Publication{Backup: true}); err == nil {
		t.Error("two backups")
	}
	s.pass(2500 * time.Millisecond)
	primary.frozen = true
	s.pass(4 * time.Second)
	primary.frozen, primary.count = false, 0
	s.pass(8 * time.Second)
	s.want(t, 1, "0.0 one, 4.5 two, 12.0 one", "0.0 one, 4.5 two, 12.0 one", "primary, backup, primary")
	if s.playout.Shown(epoch, epoch+60_000) {
		t.Error("slate was shown")
	}
}

// An input whose time lies behind what was shown is moved, with its sound.
func TestALateInputIsMovedBehindWhatWasShown(t *testing.T) {
	s := newStage(t, true)
	primary := s.join("one", false, aac)
	backup := s.join("two", true, aac)
	backup.started -= 400 * time.Millisecond // what it sends now is that old
	s.pass(2 * time.Second)
	s.leave(primary)
	s.pass(2 * time.Second)
	pictures := s.tapes[0].pictures
	for i := 1; i < len(pictures); i++ {
		if step := pictures[i].at - pictures[i-1].at; step > 50*time.Millisecond && pictures[i].from == pictures[i-1].from {
			t.Errorf("picture %d comes %v after the one before", i, step)
		}
	}
	s.want(t, 1, "0.0 one, 2.0 two", "0.0 one, 2.0 two", "primary, backup")
}

// A machine that boots with a wrong clock must not go on with it for as long as somebody publishes.
func TestAClockThatWasSetCountsFromTheNextInput(t *testing.T) {
	s := newStage(t, true)
	c := s.join("one", false, aac)
	s.pass(time.Second)
	s.offMs = 3_600_000
	s.pass(time.Second)
	backup := s.join("two", true, aac)
	s.pass(2 * time.Second)
	s.want(t, 2, "0.0 one", "0.0 one", "primary, primary")
	if e := s.tapes[1]; !s.tapes[0].closed || e.EpochMs-epoch-s.offMs != 2000 {
		t.Errorf("the second begins at %d ms", e.EpochMs-epoch)
	}
	s.leave(backup)
	s.leave(c)
}

func TestAnEncoderThatCannotStart(t *testing.T) {
	s := newStage(t, true)
	s.fails = errors.New("no ffmpeg")
	c := s.join("one", false, aac)
	if err := c.input.Video(c.started, c.started, [][]byte{[]byte("e")}); !errors.Is(err, s.fails) {
		t.Errorf("the publisher is told %v", err)
	}
	s.leave(c)
	s.pass(5 * time.Second)
	s.fails = nil
	s.join("two", false, aac)
	s.pass(time.Second)
	if len(s.tapes) != 1 || len(s.tapes[0].pictures) != 25 {
		t.Errorf("afterwards %d encoders", len(s.tapes))
	}
}

// Whoever comes and goes: what an encoder is given goes forward (a tape sees to that), with at most one encoder at a time.
func TestWhoeverComesAndGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStage(t, rapid.Bool().Draw(t, "slate"))
		var here [2]*camera
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			place := rapid.IntRange(0, 1).Draw(t, "place")
			c := here[place]
			switch event := rapid.SampledFrom([]string{"come or go", "freeze", "mute", "lag"}).Draw(t, "event"); {
			case c == nil:
				here[place] = s.join(fmt.Sprint(i), place == 1, rapid.SampledFrom([]Sound{aac, aac, other, {}}).Draw(t, "sound"))
			case event == "come or go":
				s.leave(c)
				here[place] = nil
			case event == "freeze":
				c.frozen = !c.frozen
			case event == "mute":
				c.sound = !c.sound && c.input.sound.any()
			case event == "lag": // its pictures take longer from now on
				c.started -= rapid.SampledFrom([]time.Duration{40, 400, 3000}).Draw(t, "ms") * time.Millisecond
			}
			s.pass(rapid.SampledFrom([]time.Duration{40, 300, 1500, 4000}).Draw(t, "ms") * time.Millisecond)
			for _, old := range s.tapes[:max(0, len(s.tapes)-1)] {
				if !old.closed {
					t.Fatal("two encoders run at once")
				}
			}
		}
	})
}
