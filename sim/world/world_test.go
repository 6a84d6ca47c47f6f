package world

import (
	"context"
	"reflect"
	"testing"

	"slipstream/peer/sched"
)

// fewViewers is a small swarm on good lines.
func fewViewers(n int) Config {
	return Config{
		Seed: 1, DurationMs: 40_000, MeasureAfterMs: 10_000, PeerToPeer: true,
		Stream:    Stream{BytesPerSec: 125_000, SegmentMs: 2000, HoldBackSegments: 3, WindowSegments: 10, PublishDelayMs: 100},
		Viewers:   n,
		Classes:   []Class{{Share: 1, UplinkBytesPerSec: 1_000_000, DownlinkBytesPerSec: 5_000_000}},
		Network:   Network{OneWayMs: 30, ConnectRoundTrips: 5, PacketOverhead: 93, CrashNoticeMs: 15_000},
		CDN:       CDN{OneWayMs: 20, ServerMs: 5},
		Tracker:   Tracker{OneWayMs: 25, Duties: true},
		Scheduler: sched.DefaultConfig(0),
	}
}

func run(t *testing.T, cfg Config) *Result {
	t.Helper()
	r, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures {
		t.Error(f)
	}
	return r
}

// A viewer alone fetches each segment once, and its startup can be worked out:
// two round trips for the playlists, one for the media, and 250 kB at 5 MB/s.
func TestAViewerAlone(t *testing.T) {
	r := run(t, fewViewers(1))
	v := r.Viewers[0]
	if v.P2PBytes != 0 || v.HTTPBytes != v.VerifiedLeaves/16*250_000 || v.DuplicateBytes != 0 {
		t.Errorf("%d bytes from the CDN, %d from neighbours, %d twice", v.HTTPBytes, v.P2PBytes, v.DuplicateBytes)
	}
	if v.Stalls != 0 || v.StartupMs < 40+45+45+50 || v.StartupMs > 200 {
		t.Errorf("%d stalls, startup %d ms", v.Stalls, v.StartupMs)
	}
	// The first segment shown ended a hold-back of 6 s before the playlist did,
	// and the playlist ended 2 s before: it came on the grid, 100 ms early.
	if v.LatencyMs != 8000+v.StartupMs {
		t.Errorf("latency %d ms, want %d", v.LatencyMs, 8000+v.StartupMs)
	}
	if copies := r.Measured.CDNCopies(); copies != 1 {
		t.Errorf("%.2f copies of a leaf", copies)
	}
}

// On a CDN at half the bitrate every segment takes twice as long to come as to
// play: the player stalls for as long as it plays.
func TestStallsAreCounted(t *testing.T) {
	cfg := fewViewers(1)
	cfg.CDN.BytesPerSec = cfg.Stream.BytesPerSec / 2
	cfg.PeerToPeer = false
	v := run(t, cfg).Viewers[0]
	played := cfg.DurationMs - v.StartupMs - v.StallMs
	if v.StartupMs < 4000 || v.Stalls < 7 || v.StallMs < played*9/10 || v.StallMs > played*13/10 {
		t.Errorf("startup %d ms, %d stalls, %d ms in all while %d ms were played", v.StartupMs, v.Stalls, v.StallMs, played)
	}
	if want := 8000 + v.StartupMs + v.StallMs; v.LatencyMs != want && v.Seeks == 0 {
		t.Errorf("latency %d ms, want %d: stalls make it grow", v.LatencyMs, want)
	}
}

// What falls out of the playlist is skipped, and playback goes on near the end.
func TestAPlayerThatFellBehindSeeksToLive(t *testing.T) {
	cfg := fewViewers(1)
	cfg.CDN.BytesPerSec = cfg.Stream.BytesPerSec / 2
	cfg.PeerToPeer = false
	cfg.Stream.WindowSegments = 4
	cfg.DurationMs = 120_000
	v := run(t, cfg).Viewers[0]
	if v.Seeks == 0 {
		t.Fatal("it never sought, though its segments were long gone")
	}
	if v.LatencyMs > 16_000 {
		t.Errorf("latency %d ms; the playlist reaches back 8 s only", v.LatencyMs)
	}
}

func TestUplinksCarryNoMoreThanTheyCan(t *testing.T) {
	cfg := fewViewers(30)
	cfg.Classes = []Class{
		{Share: 0.5, UplinkBytesPerSec: 150_000, UplinkSpread: 0.7, DownlinkBytesPerSec: 5_000_000},
		{Share: 0.5, NoUpload: true, DownlinkBytesPerSec: 5_000_000},
	}
	r := run(t, cfg)
	uploads := 0
	for _, v := range r.Viewers {
		if v.Class == 1 {
			if v.UploadedBytes != 0 || v.UplinkBytesPerSec != 0 {
				t.Errorf("viewer %d may not upload and gave %d bytes", v.Number, v.UploadedBytes)
			}
			continue
		}
		uploads++
		// What was put into the queue at the end may still wait there.
		if most := v.UplinkBytesPerSec*v.PresentMs/1000 + 512<<10; v.UplinkBytes > most {
			t.Errorf("viewer %d sent %d bytes, its uplink carries %d", v.Number, v.UplinkBytes, most)
		}
		if v.UplinkBytes < v.UploadedBytes {
			t.Errorf("viewer %d gave %d bytes of media in %d bytes on the line", v.Number, v.UploadedBytes, v.UplinkBytes)
		}
	}
	if uploads < 14 || uploads > 16 {
		t.Errorf("half of 30 viewers are %d", uploads)
	}
}

// Adding a viewer leaves everybody else's line, arrival and stay as they were.
func TestOneMoreViewerShiftsNobodysDraws(t *testing.T) {
	cfg := fewViewers(12)
	cfg.Classes = []Class{
		{Share: 0.7, UplinkBytesPerSec: 1_000_000, UplinkSpread: 0.7, DownlinkBytesPerSec: 5_000_000},
		{Share: 0.3, NoUpload: true, DownlinkBytesPerSec: 5_000_000},
	}
	for _, arrival := range []Arrival{{OverMs: 8000}, {PerSecond: 3}, {}} {
		cfg.Arrival, cfg.StayMs = arrival, 15_000
		cfg.Viewers = 12
		before := run(t, cfg)
		cfg.Viewers = 13
		after := run(t, cfg)
		for i, v := range before.Viewers {
			w := after.Viewers[i]
			if v.Class != w.Class || v.UplinkBytesPerSec != w.UplinkBytesPerSec || v.JoinMs != w.JoinMs || v.PresentMs != w.PresentMs {
				t.Errorf("viewer %d changed: %+v, then %+v", i, v, w)
			}
		}
	}
}

func TestViewersComeWhenTheyShould(t *testing.T) {
	cfg := fewViewers(40)
	cfg.Arrival.OverMs = 10_000
	early := 0
	for _, v := range run(t, cfg).Viewers {
		if v.JoinMs < 0 || v.JoinMs > 10_000 {
			t.Errorf("viewer %d came at %d ms", v.Number, v.JoinMs)
		}
		if v.JoinMs < 5000 {
			early++
		}
	}
	if early < 18 || early > 22 {
		t.Errorf("%d of 40 came in the first half", early)
	}
	cfg.Arrival = Arrival{PerSecond: 0.5}
	came := 0
	for _, v := range run(t, cfg).Viewers {
		if v.JoinMs >= 0 {
			came++
		}
	}
	if came < 10 || came > 32 {
		t.Errorf("at one in 2 s, %d came in 40 s", came)
	}
}

// A pair that cannot connect is reported as such, and the swarm lives with it.
func TestNobodyCanConnect(t *testing.T) {
	cfg := fewViewers(6)
	cfg.Network.ConnectFailures = 1
	r := run(t, cfg)
	if r.Connections != 0 || r.Measured.P2PBytes != 0 {
		t.Errorf("%d connections, %d bytes from neighbours", r.Connections, r.Measured.P2PBytes)
	}
	for _, v := range r.Viewers {
		if v.Stalls != 0 {
			t.Errorf("viewer %d stalled %d times", v.Number, v.Stalls)
		}
	}
}

// Nobody stalls when a neighbour dies in mid-transfer, or leaves politely.
func TestLeavingHurtsNobody(t *testing.T) {
	for _, crash := range []bool{true, false} {
		cfg := fewViewers(10)
		cfg.Exits = []Exit{{AtMs: 20_000, Share: 0.6, Crash: crash}}
		r := run(t, cfg)
		left := 0
		for _, v := range r.Viewers {
			if v.PresentMs < cfg.DurationMs {
				left++
			} else if v.Stalls > 0 {
				t.Errorf("crash %v: viewer %d stalls %d times", crash, v.Number, v.Stalls)
			}
		}
		if left < 3 || left > 9 {
			t.Errorf("%d of 10 left", left)
		}
	}
}

// A tracker that is away keeps newcomers alone; when it is back they find the others.
func TestWithoutATrackerNewcomersPlayFromTheCDN(t *testing.T) {
	cfg := fewViewers(8)
	cfg.Arrival.OverMs = 3000
	cfg.Tracker.Outages = []Outage{{FromMs: 0, ToMs: 25_000}}
	cfg.DurationMs = 60_000
	r := run(t, cfg)
	if r.Connections == 0 {
		t.Error("nobody connected after the tracker came back")
	}
	if r.Whole.P2PBytes == 0 || r.Whole.HTTPBytes < 8*9*250_000 {
		t.Errorf("%d bytes from neighbours, %d from the CDN", r.Whole.P2PBytes, r.Whole.HTTPBytes)
	}
	for _, v := range r.Viewers {
		if v.Stalls != 0 || v.StartupMs > 300 {
			t.Errorf("viewer %d: %d stalls, startup %d ms", v.Number, v.Stalls, v.StartupMs)
		}
	}
}

func TestSeedersGiveAndDoNotCount(t *testing.T) {
	cfg := fewViewers(5)
	cfg.Classes[0].NoUpload = true
	cfg.Seeders = Seeders{Count: 1, UplinkBytesPerSec: 12_500_000}
	r := run(t, cfg)
	seeder := r.Viewers[5]
	if !seeder.Seeder || seeder.UploadedBytes == 0 || seeder.StartupMs != 0 {
		t.Errorf("the seeder: %+v", seeder)
	}
	m := r.Measured
	if m.ViewersMean != 5 {
		t.Errorf("a segment reached %.1f viewers, want 5", m.ViewersMean)
	}
	if offload := float64(m.P2PBytes) / float64(m.ViewerBytes); offload < 0.95 {
		t.Errorf("a seeder with 100 times the bitrate carries %.2f of 5 viewers", offload)
	}
}

func TestTheSameWorldTwice(t *testing.T) {
	cfg := fewViewers(15)
	cfg.StayMs, cfg.Crashes, cfg.Network.ConnectFailures, cfg.Network.OneWaySpread = 20_000, 0.5, 0.1, 0.4
	a, b := run(t, cfg), run(t, cfg)
	if !reflect.DeepEqual(a, b) || a.Hash() != b.Hash() {
		t.Error("two runs of one configuration differ")
	}
}

// The edge of the CDN may serve a playlist that is a second old; segments are
// then learnt of later, and playback is as far from live as before.
func TestAStalePlaylistDelaysNews(t *testing.T) {
	cfg := fewViewers(8)
	cfg.CDN.PlaylistAgeMs = 1000
	r := run(t, cfg)
	for _, v := range r.Viewers {
		if v.Stalls != 0 {
			t.Errorf("viewer %d stalls %d times", v.Number, v.Stalls)
		}
	}
}

func TestStreamOnTheGrid(t *testing.T) {
	for _, segmentMs := range []int64{500, 2000, 6000, 7000} {
		cfg := fewViewers(1)
		cfg.Stream.SegmentMs = segmentMs
		s := newStream(cfg)
		if head := s.head(startMs); head != s.window-1 {
			t.Errorf("%d ms: the first viewer sees segments up to %d, want %d", segmentMs, head, s.window-1)
		}
		for segment := range int32(20) {
			at := s.publishedMs(segment)
			if s.head(at) != segment || s.head(at-1) != segment-1 {
				t.Errorf("%d ms: segment %d is published at %d, but the heads around it are %d and %d", segmentMs, segment, at, s.head(at-1), s.head(at))
			}
			if s.mediaMs(segment)%segmentMs != 0 || s.mediaMs(segment)/segmentMs != s.sequence(segment) {
				t.Errorf("%d ms: segment %d is not on the grid", segmentMs, segment)
			}
		}
		total := int64(0)
		for leaf := range s.leaves {
			total += s.leafBytes(leaf)
		}
		if total != s.size {
			t.Errorf("%d ms: the leaves add up to %d, the segment has %d", segmentMs, total, s.size)
		}
	}
}

func BenchmarkHundredViewersForAMinute(b *testing.B) {
	cfg := fewViewers(100)
	cfg.DurationMs = 60_000
	for b.Loop() {
		if _, err := Run(context.Background(), cfg); err != nil {
			b.Fatal(err)
		}
	}
}
