package peer

import (
	"testing"

	"slipstream/origin/manifest"
	"slipstream/peer/playback"
	"slipstream/peer/session"
)

// window makes complete two-second segments with the given numbers.
func window(numbers ...int64) []session.Segment {
	var out []session.Segment
	for _, n := range numbers {
		out = append(out, session.Segment{Number: n, StartMs: n * 2000, DurationMs: 2000, Complete: true})
	}
	return out
}

func TestViewerStartsThreeSegmentsBehindLiveAndWantsNothingOlder(t *testing.T) {
	v := &viewer{joinedMs: 22_000}
	live := window(5, 6, 7, 8, 9, 10)
	for i := range live {
		live[i].Complete = false
	}
	v.Advance(22_000, "360p", live)
	for i, want := range []int64{0, 0, 0, 22_000, 24_000, 26_000} {
		if got := v.DeadlineMs(22_000, live[i]); got != want {
			t.Errorf("segment %d is wanted at %d, want %d", live[i].Number, got, want)
		}
	}
	live[3].Complete = true
	v.Advance(22_400, "360p", live)
	if v.play.State() != playback.Playing || v.play.StartupMs() != 400 || v.play.LatencyMs(22_400) != 6_400 {
		t.Errorf("state %s, startup %d ms, latency %d ms", v.play.State(), v.play.StartupMs(), v.play.LatencyMs(22_400))
	}
}

func TestViewerOfPartsStartsThreePartsBehindLiveAndNeedsTheSegmentFromItsBeginning(t *testing.T) {
	v := &viewer{joinedMs: 21_600}
	live := window(9)
	for i := range int64(4) {
		live = append(live, session.Segment{Number: 10, Part: int(i) + 1, StartMs: 20_000 + 500*i, DurationMs: 500})
	}
	v.Advance(22_100, "360p", live)
	if v.play.PositionMs() != 20_500 {
		t.Fatalf("it begins at %d", v.play.PositionMs())
	}
	for i, want := range []int64{0, 22_100, 22_100, 22_600, 23_100} {
		if got := v.DeadlineMs(22_100, live[i]); got != want {
			t.Errorf("entry %d is wanted at %d, want %d", i, got, want)
		}
	}
	for i := range live {
		live[i].Complete = i < 2
	}
	v.Advance(22_200, "360p", live)
	if v.play.State() != playback.Starting {
		t.Errorf("it plays without the part that it begins with")
	}
	live[2].Complete = true
	v.Advance(22_300, "360p", live)
	if v.play.State() != playback.Playing || v.play.LatencyMs(22_300) != 1_800 {
		t.Errorf("state %s, latency %d ms", v.play.State(), v.play.LatencyMs(22_300))
	}
}

func TestViewerPlaysOverAPublishersAbsence(t *testing.T) {
	v := &viewer{}
	v.Advance(0, "360p", window(0, 1, 2))
	for now := int64(0); now <= 9_000; now += 50 {
		v.Advance(now, "360p", window(0, 1, 2))
	}
	if v.play.State() != playback.Stalled {
		t.Fatalf("state %s after the publisher went away; want a stall", v.play.State())
	}
	// It returns in the middle of segment 6: three numbers are missing.
	back := append(window(2), session.Segment{Number: 3, StartMs: 6_000, DurationMs: 2000, Gap: true},
		session.Segment{Number: 4, StartMs: 8_000, DurationMs: 2000, Gap: true},
		session.Segment{Number: 5, StartMs: 10_000, DurationMs: 2000, Gap: true},
		session.Segment{Number: 6, StartMs: 12_900, DurationMs: 1_100, Discontinuity: true, Complete: true})
	back = append(back, window(7, 8)...)
	v.Advance(18_100, "360p", back)
	v.Advance(18_200, "360p", back)
	v.Advance(18_700, "360p", back)
	if v.play.State() != playback.Playing || v.play.PositionMs() < 13_000 {
		t.Errorf("state %s at %d; want it to play on from 12900", v.play.State(), v.play.PositionMs())
	}
}

func TestViewerThatFellOutOfTheWindowGoesOnWithWhatThereIs(t *testing.T) {
	v := &viewer{}
	v.Advance(0, "360p", window(0, 1, 2))
	v.Advance(10_000, "360p", window(0, 1, 2))
	v.Advance(60_000, "360p", window(20, 21, 22))
	v.Advance(60_050, "360p", window(20, 21, 22))
	v.Advance(60_150, "360p", window(20, 21, 22))
	if v.play.State() != playback.Playing || v.play.PositionMs() < 40_000 {
		t.Errorf("state %s at %d; want it to play from 40000", v.play.State(), v.play.PositionMs())
	}
}

func TestWhatComesAfterAGapIsDueAsSoonAsItIsThere(t *testing.T) {
	v := &viewer{}
	v.Advance(0, "360p", window(0, 1, 2))
	v.Advance(6_000, "360p", window(0, 1, 2))
	back := append(window(0, 1, 2), session.Segment{Number: 3, StartMs: 6_000, DurationMs: 10_000, Gap: true})
	back = append(back, window(8, 9, 10)...)
	for i := range back[4:] {
		back[4+i].Complete = false
	}
	for now := int64(20_000); now < 26_000; now += 50 {
		v.Advance(now, "360p", back)
		if due := v.DeadlineMs(now, back[4]); due != now {
			t.Fatalf("at %d the first segment after the gap is due at %d", now, due)
		}
		if due := v.DeadlineMs(now, back[5]); due != now+2000 {
			t.Fatalf("at %d the second segment after the gap is due at %d", now, due)
		}
	}
}

// arrive makes a segment of a rendition that took so long.
func arrive(rendition string, number, tookMs, bytes int64) session.Segment {
	return session.Segment{
		Rendition: rendition, Number: number, StartMs: number * 2000, DurationMs: 2000, Complete: true,
		Bytes: bytes, FirstMs: 1, DoneMs: 1 + tookMs,
	}
}

func TestAViewerClimbsWithTheThroughputAndFallsWithIt(t *testing.T) {
	v := &viewer{}
	v.adapt([]manifest.Variant{{Rendition: "720p", Bandwidth: 2_000_000}, {Rendition: "360p", Bandwidth: 800_000}})
	if !v.Plays("360p") || v.Plays("720p") {
		t.Fatal("it does not begin with the lowest rendition")
	}
	v.play = playback.New(0, 0)
	var low []session.Segment
	low = append(low, arrive("360p", 0, 100, 200_000))                                                // 16 Mb/s
	low = append(low, session.Segment{Rendition: "360p", Number: 1, StartMs: 2000, DurationMs: 2000}) // it is being fetched
	v.Advance(0, "360p", low)
	if v.switches != 1 || !v.Plays("720p") || !v.Plays("360p") {
		t.Fatalf("with plenty of throughput it switched %d times", v.switches)
	}
	from := v.turns[1].from
	next := session.Segment{Number: from, StartMs: from * 2000, DurationMs: 2000}
	for rendition, want := range map[string]bool{"360p": false, "720p": true} {
		next.Rendition = rendition
		if got := v.DeadlineMs(0, next) > 0; got != want {
			t.Errorf("segment %d of %s is wanted: %t", from, rendition, got)
		}
	}
	low[1] = arrive("360p", 1, 100, 200_000)
	v.Advance(1, "360p", low)
	if v.Plays("360p") {
		t.Error("after its last segment of the lower rendition it still plays that")
	}
	var high []session.Segment
	for n := int64(2); n < 8; n++ {
		high = append(high, arrive("720p", n, 4000, 500_000)) // 1 Mb/s
		v.Advance(n, "720p", high)
	}
	if name := v.renditionOf(v.next); name != "360p" {
		t.Errorf("with half of the throughput that it needs it plays %s", name)
	}
	if v.bufferedMs != 16_000 {
		t.Errorf("it holds media up to %d ms without a hole, want 16000", v.bufferedMs)
	}
}

func TestARecordingBeginsWhereItIsWantedAndEnds(t *testing.T) {
	v := &viewer{joinedMs: 1000, startAtMs: 5000}
	v.Recording(100_000, 108_000)
	if from, to := v.Span(); from != 105_000 || to != 135_000 {
		t.Errorf("it looks at %d to %d", from, to)
	}
	segments := []session.Segment{
		{Number: 52, StartMs: 104_000, DurationMs: 2000, Complete: true}, {Number: 53, StartMs: 106_000, DurationMs: 2000, Complete: true},
	}
	for now := int64(1000); now <= 6000; now += 50 {
		v.Advance(now, "360p", segments)
	}
	if v.play.State() != playback.Ended || v.play.Stalls() > 0 {
		t.Errorf("at the end it is %s after %d stalls", v.play.State(), v.play.Stalls())
	}
	v.seek(106_500)
	v.Advance(6050, "360p", segments)
	if v.play.State() != playback.Playing || v.play.StartupMs() > 100 {
		t.Errorf("after a seek it is %s, and its startup took %d ms", v.play.State(), v.play.StartupMs())
	}
}
