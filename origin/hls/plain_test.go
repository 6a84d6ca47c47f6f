package hls

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	second "github.com/Eyevinn/hls-m3u8/m3u8"

	"slipstream/origin/manifest"
)

// hours is a window of count segments, the last of which has just ended.
func hours(count int64) Plain {
	p := Plain{DiscontinuitySequence: 7, Skips: true, KeepsMs: 7_200_000}
	for n := nowMs/2000 - count; n < nowMs/2000; n++ {
		p.Segments = append(p.Segments, Listed{Number: n, StartMs: n * 2000, DurationMs: 2000, Init: manifest.Hash{1}, Chapter: n / 60 * 60})
	}
	return p
}

func read(t *testing.T, text string) *second.MediaPlaylist {
	t.Helper()
	list, kind, err := second.DecodeFrom(strings.NewReader(text), true)
	if err != nil || kind != second.MEDIA {
		t.Fatalf("%v, kind %v\n%s", err, kind, text)
	}
	return list.(*second.MediaPlaylist)
}

func TestALongPlaylist(t *testing.T) {
	p := hours(20)
	p.Segments[5].DurationMs = 1033
	p.Segments = append(p.Segments[:6], p.Segments[9:]...) // three are missing
	p.Segments[6].Discontinuity, p.Segments[6].StartMs, p.Segments[6].DurationMs = true, p.Segments[6].StartMs+467, 1533
	p.Segments[10].Discontinuity = true
	for i := range p.Segments[10:] {
		p.Segments[10+i].Init = manifest.Hash{2}
	}
	text := p.Render(false)
	golden(t, "dvr.m3u8", text)
	list := read(t, text)
	if list.SeqNo != uint64(nowMs/2000-20) || list.DiscontinuitySeq != 7 || list.Count() != 20 || list.TargetDuration != 2 {
		t.Errorf("sequence %d, discontinuities %d, %d segments, target %d", list.SeqNo, list.DiscontinuitySeq, list.Count(), list.TargetDuration)
	}
	total := 0.0
	for i, seg := range list.Segments[:20] {
		if seg.SeqId != uint64(nowMs/2000-20+int64(i)) || seg.Gap != (i >= 6 && i < 9) {
			t.Errorf("entry %d has the number %d, gap %v", i, seg.SeqId, seg.Gap)
		}
		total += seg.Duration
	}
	if total != 40 {
		t.Errorf("40 s are listed as %v s", total)
	}
	ours, err := manifest.ReadPlaylist(text)
	if err != nil || len(ours.Segments) != 20 || ours.Segments[19].MapURI != "init-0200000000000000.mp4" || ours.Segments[9].PDTms != (nowMs/2000-11)*2000+467 {
		t.Errorf("%v: %d segments", err, len(ours.Segments))
	}
}

// Whatever a delta update leaves out, with what the player has it is the whole playlist again.
func TestADeltaUpdateOfALongPlaylist(t *testing.T) {
	p := hours(1800)
	p.Segments = append(p.Segments[:1795:1795], p.Segments[1797:]...)
	p.Segments[1795].Discontinuity = true
	full, delta := p.Render(false), p.Render(true)
	golden(t, "dvr-delta.m3u8", delta)
	var skipped int
	if _, after, ok := strings.Cut(delta, "#EXT-X-SKIP:SKIPPED-SEGMENTS="); !ok {
		t.Fatal("nothing is skipped")
	} else if _, err := fmt.Sscan(after, &skipped); err != nil {
		t.Fatal(err)
	}
	tail := func(text string, skip int) []string {
		uris := []string{}
		for line := range strings.Lines(text) {
			if line[0] != '#' {
				uris = append(uris, line)
			}
		}
		return uris[skip:]
	}
	if a, b := tail(full, skipped), tail(delta, 0); strings.Join(a, "") != strings.Join(b, "") {
		t.Errorf("after %d the whole playlist has %q, the update %q", skipped, a, b)
	}
	if kept := 1800 - skipped; kept < 6 || kept > 8 {
		t.Errorf("%d entries are kept: at least six target durations must be", kept)
	}
	if len(delta) > 700 || len(full) > 60_000 {
		t.Errorf("an hour takes %d bytes, an update %d", len(full), len(delta))
	}
	if short := hours(5); short.Render(true) != short.Render(false) {
		t.Error("something was left out of a short playlist")
	}
}

func TestTransportPlaylist(t *testing.T) {
	v := view(t)
	text, err := Transport(v, nowMs)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "ts.m3u8", text)
	list, live := read(t, text), read(t, media(t, v))
	if list.Count() != live.Count() || list.SeqNo != live.SeqNo || !strings.Contains(text, "#EXT-X-TARGETDURATION:2\n") || list.DiscontinuitySeq != live.DiscontinuitySeq {
		t.Errorf("it is not the window that others see:\n%s", text)
	}
	for i := range list.Count() {
		a, b := list.Segments[i], live.Segments[i]
		if a.Duration != b.Duration || a.Gap != b.Gap || a.Discontinuity != b.Discontinuity || a.Map != nil || a.URI != strings.Replace(b.URI, ".m4s", ".ts", 1) {
			t.Errorf("entry %d: %+v, others see %+v", i, a, b)
		}
	}
	v.Entries[0].Discontinuity = true
	v.DiscontinuitySequence--
	if again, err := Transport(v, nowMs); err != nil || again != text {
		t.Errorf("a discontinuity that was not shown was not counted (%v):\n%s", err, again)
	}
	newest := v.Entries[len(v.Entries)-1].Record.CreatedMs
	if _, err := Transport(v, newest+OffAirMs+1); !errors.Is(err, ErrOffAir) {
		t.Errorf("nothing came for minutes: %v", err)
	}
}

func TestAChapterIsASignedPlaylist(t *testing.T) {
	v := view(t)
	text := Chapter(first, 3, v.Delegations, v.Entries[0].Init)
	for _, e := range v.Entries[:2] {
		text += ChapterSegment(e.Record)
	}
	for _, whole := range []string{text, text + EndOfChapter} {
		pl, err := manifest.ReadPlaylist(whole)
		if err != nil {
			t.Fatal(err)
		}
		list, err := manifest.NewVerifier(channelID(), "360p").Playlist(pl, nowMs)
		if err != nil || len(list) != 2 || list[1].Record != v.Entries[1].Record {
			t.Errorf("%d segments, %v", len(list), err)
		}
		if p := read(t, whole); p.DiscontinuitySeq != 3 || p.Closed != (whole != text) {
			t.Errorf("discontinuities %d, closed %v", p.DiscontinuitySeq, p.Closed)
		}
	}
}

// What two hours cost: to make, and for each poll.
func BenchmarkTwoHours(b *testing.B) {
	p := hours(3600)
	for name, delta := range map[string]bool{"whole": false, "delta": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			text := ""
			for b.Loop() {
				text = p.Render(delta)
			}
			var zipped bytes.Buffer
			w := gzip.NewWriter(&zipped)
			_, _ = io.WriteString(w, text)
			_ = w.Close()
			b.ReportMetric(float64(len(text)), "B")
			b.ReportMetric(float64(zipped.Len()), "gzip-B")
		})
	}
}

// Dates in playlists are what viewers check records against: each must read back as the time that it was written for.
func TestDatesSurviveTheCalendar(t *testing.T) {
	for _, midnight := range []string{"1972-02-29", "2000-02-29", "2017-01-01", "2026-03-01", "2028-02-29", "2028-03-01", "2029-01-01", "2100-03-01", "9999-12-31"} {
		at, err := time.Parse(time.DateOnly, midnight)
		if err != nil {
			t.Fatal(err)
		}
		p := Plain{}
		for n := at.UnixMilli()/2000 - 5; n < at.UnixMilli()/2000+5; n++ {
			p.Segments = append(p.Segments, Listed{Number: n, StartMs: n * 2000, DurationMs: 2000, Discontinuity: true})
		}
		text := p.Render(false)
		ours, err := manifest.ReadPlaylist(text)
		if err != nil {
			t.Fatal(err)
		}
		for i, seg := range read(t, text).Segments[:10] {
			if want := p.Segments[i].StartMs; ours.Segments[i].PDTms != want || seg.ProgramDateTime.UnixMilli() != want {
				t.Errorf("around %s: %d is read as %d and as %v", midnight, want, ours.Segments[i].PDTms, seg.ProgramDateTime)
			}
		}
	}
}
