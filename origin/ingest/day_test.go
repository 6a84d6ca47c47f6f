package ingest

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"slipstream/origin/timeline"
)

// A station is what follows a feed: sessions on the timeline, as package transcode begins them, and the numbers that their pictures have.
type station struct {
	t        *testing.T
	feed     *feed
	now      time.Time // as our clock has it
	sessions int
	anchor   timeline.Anchor
	last     int64          // newest number with pictures of this session
	used     int64          // newest number of the sessions before
	epoch    timeline.Ticks // of the newest picture of this session
	farMs    int64          // how far the timeline was from our clock at most
	holes    int64          // numbers that no session had
}

func newStation(t *testing.T, startMs int64) *station {
	s := &station{t: t, now: time.UnixMilli(startMs), last: -1, used: -1}
	s.feed = &feed{channel: "demo", logger: slog.New(slog.DiscardHandler), parameters: [][]byte{{0x67}, {0x68}}, start: s.begin}
	return s
}

// begin is what transcode.Start does before ffmpeg comes into play.
func (s *station) begin(p Publication) (Session, error) {
	s.used = max(s.used, s.last)
	startMs, err := timeline.RunStartMs(p.ArrivedMs, s.used)
	if err != nil {
		return nil, err
	}
	if s.anchor, err = timeline.NewAnchor(p.FirstPTS, startMs, 30); err != nil {
		return nil, err
	}
	s.sessions, s.epoch = s.sessions+1, -1
	return (*stationSession)(s), nil
}

type stationSession station

func (s *stationSession) Video(pts, _ time.Duration, _ [][]byte) error {
	epoch, err := s.anchor.Epoch(pts)
	if err != nil {
		return err
	}
	if epoch <= s.epoch {
		return nil // the encoder is not given it
	}
	s.epoch = epoch
	number, err := timeline.Number(epoch.Ms())
	if err != nil {
		return err
	}
	if number <= s.used { // the rest of a number that is used: dropped
		return nil
	}
	if number < s.last {
		return fmt.Errorf("number %d comes after %d", number, s.last)
	}
	if s.last >= 0 && number > s.last+1 {
		s.holes += number - s.last - 1
	}
	s.last = number
	s.farMs = max(s.farMs, epoch.Ms()-s.now.UnixMilli(), s.now.UnixMilli()-epoch.Ms())
	return nil
}

func (s *stationSession) Audio(time.Duration, []byte) error { return nil }
func (s *stationSession) Close() error                      { return nil }

// camera publishes 30 pictures a second by a clock of its own.
type camera struct {
	ppm   int64         // how much faster than ours its clock runs, in millionths
	at    time.Duration // of the next picture
	ticks bool          // stamps have 33 bits of 1/90000 s
	count int64
}

// run publishes for d of our time. What the feed wants to hold back is held back.
func (c *camera) run(s *station, tr *transport, d time.Duration) {
	s.t.Helper()
	step := time.Second / 30
	for end := s.now.Add(d); s.now.Before(end); c.count++ {
		jitter := time.Duration(c.count*7919%40) * time.Millisecond
		dts := c.at
		if c.ticks {
			stamp := (int64(c.at/time.Second)*90_000 + int64(c.at%time.Second)*90_000/int64(time.Second)) & (1<<33 - 1)
			dts = tr.time(stamp)
		}
		hold, err := s.feed.picture([][]byte{{0x65}}, c.count%60 == 0, dts, dts, s.now.Add(jitter))
		if err != nil {
			s.t.Fatalf("after %v: %v", c.at, err)
		}
		c.at += step
		s.now = s.now.Add(step - step*time.Duration(c.ppm)/1_000_000 + hold)
	}
}

func TestADayOfPublishing(t *testing.T) {
	startMs := time.Date(2028, 2, 29, 18, 0, 0, 0, time.UTC).UnixMilli()
	for _, c := range []struct {
		name     string
		camera   camera
		sessions int   // at most
		holes    int64 // likewise
		farMs    int64
	}{
		{"a perfect clock", camera{}, 1, 0, 100},
		{"a usual quartz, slow", camera{ppm: -50}, 3, 3, 2200},
		{"a usual quartz, fast", camera{ppm: 50}, 1, 0, 1200},
		{"a bad clock, slow", camera{ppm: -500}, 24, 30, 2200},
		{"a bad clock, fast", camera{ppm: 500}, 1, 0, 1200},
		{"a transport stream whose stamps wrap", camera{ticks: true, at: 20 * time.Hour}, 1, 0, 100},
		{"one that wraps at once", camera{ticks: true, at: 1<<33*time.Second/90_000 - time.Second}, 1, 0, 100},
	} {
		s := newStation(t, startMs)
		tr := &transport{feed: s.feed}
		c.camera.run(s, tr, 24*time.Hour)
		if s.sessions > c.sessions || s.holes > c.holes || s.farMs > c.farMs {
			t.Errorf("%s: %d sessions, %d numbers are missing, %d ms from our clock; at most %d, %d, %d", c.name, s.sessions, s.holes, s.farMs, c.sessions, c.holes, c.farMs)
		}
		if want := (startMs + 86_400_000) / 2000; s.last < want-3 || s.last > want+1 {
			t.Errorf("%s: the day ends with number %d, want %d", c.name, s.last, want)
		}
	}
}

// The publisher's clock may be set, by any amount and in either direction: the timeline goes on with our clock, and no number comes again.
func TestPublishersClocksAreSet(t *testing.T) {
	startMs := time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC).UnixMilli()
	for _, ticks := range []bool{false, true} {
		s := newStation(t, startMs)
		tr := &transport{feed: s.feed}
		c := &camera{ticks: ticks, at: 3 * time.Hour}
		c.run(s, tr, time.Minute)
		for i, jump := range []time.Duration{
			time.Hour, -time.Hour, 10 * time.Second, -10 * time.Second, 4 * time.Second, -4 * time.Second, -2 * time.Hour, 13 * time.Hour, 100 * time.Millisecond,
		} {
			before := s.last
			c.at += jump
			c.run(s, tr, time.Minute)
			nowNumber := s.now.UnixMilli() / 2000
			if s.last < before+20 || s.last > nowNumber+1 || s.last < nowNumber-4 {
				t.Errorf("jump %d (%v): from number %d to %d, now is %d", i, jump, before, s.last, nowNumber)
			}
		}
		if s.holes > 20 {
			t.Errorf("%d numbers are missing after nine jumps", s.holes)
		}
	}
}

// Our own clock may be set back: numbers go on where they were, ahead of it, rather than come again.
func TestOurClockIsSetBack(t *testing.T) {
	s := newStation(t, time.Date(2027, 1, 1, 0, 30, 0, 0, time.UTC).UnixMilli())
	c := &camera{}
	c.run(s, nil, time.Minute)
	before := s.last
	s.now = s.now.Add(-time.Hour)
	if err := s.feed.end("the publisher has gone"); err != nil {
		t.Fatal(err)
	}
	c.run(s, nil, time.Minute)
	if s.last < before+28 || s.last > before+33 || s.holes > 0 {
		t.Errorf("from number %d to %d, %d are missing", before, s.last, s.holes)
	}
}
