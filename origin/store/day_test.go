package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"slipstream/origin/cmaf"
	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

// A ledger is what the world remembers of a channel: every record that anybody has ever seen, through all restarts of the origin.
type ledger struct {
	t       *testing.T
	records map[int64]manifest.Record
	newest  int64
}

// note takes the playlist that is out now, as a viewer who was there from the beginning.
func (l *ledger) note(s *Store, nowMs int64) {
	l.t.Helper()
	view, _ := s.View("360p")
	text, err := hls.Media(view, nowMs)
	if err != nil {
		return // off the air
	}
	pl, err := manifest.ReadPlaylist(text)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, entry := range pl.Segments {
		if entry.Gap {
			continue
		}
		rec := *entry.Record
		if known, ok := l.records[rec.Sequence]; ok && known != rec {
			l.t.Fatalf("number %d was published twice, with the roots %s and %s", rec.Sequence, known.Root, rec.Root)
		} else if !ok && rec.Sequence <= l.newest {
			l.t.Fatalf("number %d came after %d", rec.Sequence, l.newest)
		}
		if before, ok := l.records[rec.Sequence-1]; ok && rec.Previous != before.Hash() {
			l.t.Fatalf("number %d does not follow the one before it", rec.Sequence)
		}
		l.records[rec.Sequence], l.newest = rec, max(l.newest, rec.Sequence)
	}
}

// A day of simulated time with all that happens to an origin: it is restarted, crashes between a head and its segment, between two parts, its clock is
// set, forwards and back, publishers come and go, and the encoder starts anew within a number.
func TestADayOfRestarts(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // heads are flushed, which takes a disk milliseconds
	}
	random := rand.New(rand.NewPCG(2028, 2))
	endMs, trueMs := startMs+24*3_600_000, startMs
	setUp := func(c *Config) {
		if trueMs > endMs-2*3_600_000 { // the rest of the day would only take longer
			withDVR(c)
		}
	}
	s := newStation(t, setUp)
	l := &ledger{t: t, records: make(map[int64]manifest.Record), newest: -1}
	generation := 0 // of pictures: what a new run of the encoder has under a number is something else
	number := first
	runs := 0
	for trueMs < endMs {
		// A publication: for a minute or for an hour.
		runs++
		generation++
		number = max(number, (s.nowMs)/2000)
		if signed := s.store.Signed(); number <= signed && random.IntN(2) == 0 {
			number = signed // an encoder that begins within the last number
		}
		s.init = fmt.Sprint("init ", generation%3)
		restart := false
		length := random.Int64N(1800) + 30
		for i := int64(0); i < length && !restart; i++ {
			number++
			trueMs += 2000
			s.nowMs += 2000
			fates := random.IntN(600)
			segment := s.segment("360p", number)
			segment.Data = fmt.Appendf(nil, "%d of generation %d", number, generation)
			segment.Discontinuity = i == 0
			if fates == 0 {
				restart = s.crash(func() { _ = s.store.Publish(segment, s.nowMs) })
				continue
			}
			if err := s.store.Publish(segment, s.nowMs); err != nil && i > 0 {
				t.Fatal(err)
			}
			if i%5 == 0 || fates < 20 {
				l.note(s.store, s.nowMs)
			}
			if restart = fates == 1; restart && random.IntN(2) == 0 {
				// What has parts is not completed by the next run.
				part := segment
				part.Number++
				part.StartMs, part.DurationMs = part.Number*2000, 500
				if err := s.store.PublishPart(cmaf.Part{Segment: part, Independent: true}, s.nowMs); err != nil {
					t.Fatal(err)
				}
			}
		}
		away := random.Int64N(120_000)
		trueMs, s.nowMs = trueMs+away, s.nowMs+away
		switch random.IntN(6) {
		case 0:
			s.nowMs = trueMs - random.Int64N(1_000_000) // our clock is set, often back
		case 1:
			s.nowMs = trueMs + random.Int64N(1_000_000)
		}
		if restart || random.IntN(3) == 0 {
			s.restart(setUp)
		}
	}
	if runs < 40 || len(l.records) < 30_000 {
		t.Errorf("%d runs, %d records: too few to learn from", runs, len(l.records))
	}
	// What is on disk is what was seen.
	window, _ := s.store.DVR("360p")
	for _, entry := range window.Segments {
		rec, seen := l.records[entry.Number]
		if found, ok := s.store.Kept("360p", entry.Number); !ok || seen && found.Root != rec.Root {
			t.Errorf("number %d on disk is not what was published", entry.Number)
		} else {
			found.File.Close()
		}
	}
}

// crash runs something that dies after the head is on disk.
func (s *station) crash(do func()) (crashed bool) {
	s.store.afterHead = func() { panic("power failure") }
	defer func() { crashed = recover() != nil }()
	do()
	return false
}
