package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

// A script drives a feed by hand and notes what its sessions are given.
type script struct {
	t      *testing.T
	feed   *feed
	start  time.Time
	events []string
}

func newScript(t *testing.T) *script {
	s := &script{t: t, start: time.UnixMilli(1_763_785_210_000)}
	s.feed = &feed{channel: "demo", logger: slog.New(slog.DiscardHandler), start: func(p Publication) (Session, error) {
		s.events = append(s.events, fmt.Sprintf("start %d ms at %d, sound %v", p.FirstPTS.Milliseconds(), p.ArrivedMs-s.start.UnixMilli(), p.Audio != nil))
		return (*scriptSession)(s), nil
	}}
	return s
}

type scriptSession script

func (s *scriptSession) Video(pts, dts time.Duration, au [][]byte) error {
	s.events = append(s.events, fmt.Sprintf("video %d (%d)", pts.Milliseconds(), len(au)))
	return nil
}

func (s *scriptSession) Audio(pts time.Duration, au []byte) error {
	s.events = append(s.events, fmt.Sprintf("audio %d", pts.Milliseconds()))
	return nil
}

func (s *scriptSession) Close() error {
	s.events = append(s.events, "close")
	return nil
}

// send delivers a message with a publisher's timestamp, that many milliseconds after the
// start, and returns how long the publisher is held back.
func (s *script) send(kind message.Type, timestampMs, arrivesMs int, body []byte) time.Duration {
	s.t.Helper()
	hold, err := s.feed.take(
		&rawmessage.Message{Type: uint8(kind), Timestamp: time.Duration(timestampMs) * time.Millisecond, Body: body},
		s.start.Add(time.Duration(arrivesMs)*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	return hold
}

func (s *script) parameters(level byte) { s.send(message.TypeVideo, 0, 0, avcConfig(level)) }
func (s *script) soundParameters(at int) {
	s.send(message.TypeAudio, at, at, []byte{0xaf, 0, 0x11, 0x90})
}
func (s *script) sound(timestamp, at int) {
	s.send(message.TypeAudio, timestamp, at, []byte{0xaf, 1, 9, 9})
}
func (s *script) key(timestamp, at int) { s.send(message.TypeVideo, timestamp, at, avcPicture(0x65)) }
func (s *script) picture(timestamp, at int) {
	s.send(message.TypeVideo, timestamp, at, avcPicture(0x41))
}

func (s *script) metadata(values ...any) {
	s.t.Helper()
	body, err := amf0.Data(values).Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(message.TypeDataAMF0, 0, 0, body)
}

func (s *script) want(events ...string) {
	s.t.Helper()
	if !slices.Equal(s.events, events) {
		s.t.Errorf("the events are\n\t%q\nwant\n\t%q", s.events, events)
	}
	s.events = nil
}

func avcConfig(level byte) []byte {
	sps, pps := []byte{0x67, 0x42, 0xc0, level, 0xd9}, []byte{0x68, 0x06, 0x07}
	b := []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, level, 0xff, 0xe1}
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(sps))), sps...)
	b = append(b, 1)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(pps))), pps...)
}

func avcPicture(nal byte) []byte {
	first := byte(0x27)
	if nal == 0x65 {
		first = 0x17
	}
	return []byte{first, 1, 0, 0, 0, 0, 0, 0, 3, nal, 1, 2}
}

func TestASessionBeginsWithAKeyFrameAndParameters(t *testing.T) {
	s := newScript(t)
	s.key(0, 0) // no parameters yet
	s.parameters(30)
	s.picture(33, 40)
	s.sound(40, 41)
	s.key(66, 73)
	s.picture(100, 110)
	s.want("start 66 ms at 73, sound false", "video 66 (3)", "video 100 (1)")
}

func TestASessionWaitsForAnnouncedSound(t *testing.T) {
	for name, announcement := range map[string]any{
		"by number":            amf0.Object{{Key: "audiocodecid", Value: float64(10)}},
		"by name, in an array": amf0.ECMAArray{{Key: "audiocodecid", Value: "mp4a"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.metadata("@setDataFrame", "onMetaData", announcement)
			s.parameters(30)
			s.key(0, 0)
			s.soundParameters(20)
			s.key(500, 500)
			s.want("start 500 ms at 500, sound true", "video 500 (3)")
		})
	}
}

func TestASessionDoesNotWaitForEver(t *testing.T) {
	s := newScript(t)
	s.metadata("onMetaData", amf0.Object{{Key: "audiocodecid", Value: float64(10)}})
	s.parameters(30)
	s.key(0, 0)
	s.key(999, 999)
	s.want()
	s.key(1000, 1000)
	s.want("start 1000 ms at 1000, sound false", "video 1000 (3)")
}

func TestNoSoundIsAnnouncedByZero(t *testing.T) {
	s := newScript(t)
	s.metadata("onMetaData", amf0.Object{{Key: "audiocodecid", Value: float64(0)}})
	s.parameters(30)
	s.key(0, 0)
	s.want("start 0 ms at 0, sound false", "video 0 (3)")
}

func TestChangedParametersBeginANewSession(t *testing.T) {
	s := newScript(t)
	s.parameters(30)
	s.key(0, 0)
	s.parameters(30) // repeated, as many encoders do: nothing changes
	s.picture(33, 33)
	s.want("start 0 ms at 0, sound false", "video 0 (3)", "video 33 (1)")
	s.parameters(31)
	s.picture(66, 66)
	s.key(100, 105)
	s.want("close", "start 100 ms at 105, sound false", "video 100 (3)")
	s.soundParameters(110) // sound that begins late
	s.soundParameters(111)
	s.key(133, 133)
	s.sound(140, 140)
	s.want("close", "start 133 ms at 133, sound true", "video 133 (3)", "audio 140")
}

func TestAJumpInTimeBeginsANewSession(t *testing.T) {
	for _, c := range []struct {
		name          string
		timestamp, at int
		fresh         bool
	}{
		{"six seconds ahead at once", 10_000 + 6_000, 10_033, true},
		{"six seconds back", 10_000 - 6_000, 10_033, true},
		{"the 32 bits of RTMP wrap around", 0, 10_033, true},
		{"six seconds ahead after six seconds of silence", 10_000 + 6_000, 16_000, false},
		{"six seconds of silence, then what was missed", 10_033, 16_000, false},
		{"a little back", 9_900, 10_033, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t)
			s.parameters(30)
			s.key(0, 0)
			s.picture(10_000, 10_000)
			s.events = nil
			s.key(c.timestamp, c.at)
			video := fmt.Sprintf("video %d (3)", c.timestamp)
			if c.fresh {
				s.want("close", fmt.Sprintf("start %d ms at %d, sound false", c.timestamp, c.at), video)
			} else {
				s.want(video)
			}
		})
	}
}

// A publisher whose clock is 100 parts per thousand slow stands for one whose clock is
// 50 millionths slow over a day.
func TestASlowClockIsAnchoredAnew(t *testing.T) {
	s := newScript(t)
	s.parameters(30)
	for i := range 400 { // 40 s of its time take 44 s
		s.key(i*100, i*110)
	}
	starts := 0
	for _, e := range s.events {
		if len(e) > 5 && e[:5] == "start" {
			starts++
		}
	}
	if starts != 1 {
		t.Fatalf("%d sessions were started while the drift was below %d ms", starts, driftMs)
	}
	for i := 400; i < 800; i++ {
		s.key(i*100, i*110)
	}
	if !slices.Contains(s.events, "close") {
		t.Error("the publisher is 8 s late and its session goes on")
	}
}

func TestAFastPublisherIsHeldBack(t *testing.T) {
	s := newScript(t)
	s.parameters(30)
	s.key(0, 0)
	for _, c := range []struct{ timestamp, at, holdMs int }{
		{900, 0, 0},    // within a second: jitter
		{1500, 0, 500}, // a file at full speed: its next picture may come in half a second
		{2000, 500, 500},
		{2100, 2100, 0}, // on time
		{2133, 5000, 0}, // late
	} {
		hold := s.send(message.TypeVideo, c.timestamp, c.at, avcPicture(0x41))
		if hold != time.Duration(c.holdMs)*time.Millisecond {
			t.Errorf("a picture of %d ms at %d ms: held back %v, want %d ms", c.timestamp, c.at, hold, c.holdMs)
		}
	}
}

func TestTheOrderlyEnd(t *testing.T) {
	for _, name := range []string{"FCUnpublish", "deleteStream", "closeStream"} {
		body, err := amf0.Data{name, float64(5), nil}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		s := newScript(t)
		_, err = s.feed.take(&rawmessage.Message{Type: uint8(message.TypeCommandAMF0), Body: body}, s.start)
		if !errors.Is(err, errEnded) {
			t.Errorf("%s gives %v", name, err)
		}
		_, err = s.feed.take(&rawmessage.Message{Type: uint8(message.TypeCommandAMF3), Body: append([]byte{0}, body...)}, s.start)
		if !errors.Is(err, errEnded) {
			t.Errorf("%s in AMF3 gives %v", name, err)
		}
	}
}
