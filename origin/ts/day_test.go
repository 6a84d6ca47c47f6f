package ts_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/cmaf"
)

// An encoder is what ffmpeg writes for one rendition: a fragment a second, with the frames of AAC that begin in that second.
type encoder struct {
	t         *testing.T
	rate      int64
	timescale int64
	init      []byte
	templates map[int64][]byte // a fragment by its frames of sound
}

const frameSamples = 1024 // of AAC, at 48 kHz

func newEncoder(t *testing.T, rate int64) *encoder {
	e := &encoder{t: t, rate: rate, timescale: rate * 512, templates: make(map[int64][]byte)}
	video, err := cmaf.TrackSamples(recorded(t)[0].Init, nil, cmaf.Video)
	if err != nil {
		t.Fatal(err)
	}
	init := mp4.CreateEmptyInit()
	if err := init.AddEmptyTrack(uint32(e.timescale), "video", "und").SetAVCDescriptor("avc1", video.SPS, video.PPS, true); err != nil {
		t.Fatal(err)
	}
	if err := init.AddEmptyTrack(48_000, "audio", "und").SetAACDescriptor(aac.AAClc, 48_000); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := init.Encode(&b); err != nil {
		t.Fatal(err)
	}
	e.init = b.Bytes()
	return e
}

// template has a second of pictures and so many frames of sound, at time 0.
func (e *encoder) template(frames int64) []byte {
	if known, ok := e.templates[frames]; ok {
		return bytes.Clone(known)
	}
	f, err := mp4.CreateMultiTrackFragment(1, []uint32{1, 2})
	if err != nil {
		e.t.Fatal(err)
	}
	add := func(track uint32, n, dur int64, data []byte) {
		flags := mp4.NonSyncSampleFlags
		if n == 0 || track == 2 {
			flags = mp4.SyncSampleFlags
		}
		sample := mp4.FullSample{Sample: mp4.NewSample(flags, uint32(dur), uint32(len(data)), 0), DecodeTime: 1<<33 + uint64(n*dur), Data: data}
		if err := f.AddFullSampleToTrack(sample, track); err != nil {
			e.t.Fatal(err)
		}
	}
	for n := range e.rate {
		kind := byte(0x41)
		if n == 0 {
			kind = 0x65
		}
		add(1, n, 512, []byte{0, 0, 0, 3, kind, byte(n), 0x80})
	}
	for n := range frames {
		add(2, n, frameSamples, []byte{0x21, byte(n), 3, 4})
	}
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		e.t.Fatal(err)
	}
	e.templates[frames] = b.Bytes()
	return bytes.Clone(b.Bytes())
}

// framesBefore is how many frames of sound begin before a second of the epoch.
func framesBefore(second int64) int64 { return (second*48_000 + frameSamples - 1) / frameSamples }

// fragment is that of a second of the epoch.
func (e *encoder) fragment(second int64) []byte {
	out := e.template(framesBefore(second+1) - framesBefore(second))
	times := []int64{second * e.timescale, framesBefore(second) * frameSamples}
	for from, i := 0, 0; i < 2; i++ {
		at := from + bytes.Index(out[from:], []byte("tfdt"))
		if out[at+4] != 1 {
			e.t.Fatal("a time has 32 bits")
		}
		binary.BigEndian.PutUint64(out[at+8:], uint64(times[i]))
		from = at + 16
	}
	return out
}

// Through a day in which 33 bits of MPEG-TS time wrap: each number has its segment, exactly on the grid, whose sound begins within one frame
// after its pictures and goes on from segment to segment without a hole or an overlap.
func TestADayOfSegments(t *testing.T) {
	const wrap = (1 << 33) / 90_000 * 18_700 // seconds, in 2026, give or take
	for _, day := range []struct{ rate, seconds int64 }{{30, 24 * 3600}, {50, 24 * 3600}, {25, 3600}, {24, 3600}, {60, 3600}} {
		e := newEncoder(t, day.rate)
		cutter := cmaf.NewCutter(fmt.Sprint(day.rate))
		if _, err := cutter.Write(e.init); err != nil {
			t.Fatal(err)
		}
		from := int64(wrap) - day.seconds/2
		from -= from % 2
		next, nextFrame, count := from/2, int64(-1), int64(0)
		var lastFrame int64 = -1 // of MPEG-TS
		for second := from; second < from+day.seconds; second++ {
			outputs, err := cutter.Write(e.fragment(second))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range outputs {
				if o.Segment == nil {
					continue
				}
				s := *o.Segment
				if s.Number != next || s.StartMs != next*2000 || s.DurationMs != 2000 || s.FrameRate != float64(day.rate) {
					t.Fatalf("at %d: number %d from %d ms for %d ms at %v pictures a second, want number %d", day.rate, s.Number, s.StartMs, s.DurationMs, s.FrameRate, next)
				}
				next++
				count++
				if count%120 > 1 { // neighbours, now and then: the rest is arithmetic of its own
					lastFrame = -1
					continue
				}
				sound, err := cmaf.TrackSamples(s.Init, s.Data, cmaf.Audio)
				if err != nil {
					t.Fatal(err)
				}
				if late := sound.List[0].DTS - s.StartMs*48; late < 0 || late >= frameSamples {
					t.Fatalf("the sound of number %d begins %d samples after its pictures", s.Number, late)
				}
				if nextFrame >= 0 && count%120 == 1 && sound.List[0].DTS != nextFrame {
					t.Fatalf("the sound of number %d begins at %d, want %d", s.Number, sound.List[0].DTS, nextFrame)
				}
				nextFrame = sound.List[len(sound.List)-1].DTS + frameSamples
				h := listen(t, transport(t, s))
				if len(h.pictures) != int(2*day.rate) || h.pictures[0] != s.StartMs*90&(1<<33-1) {
					t.Fatalf("number %d has %d pictures from %d in MPEG-TS", s.Number, len(h.pictures), h.pictures[0])
				}
				for _, at := range h.frames {
					if lastFrame >= 0 && (at-lastFrame)&(1<<33-1) != 1920 {
						t.Fatalf("the sound of number %d jumps from %d to %d in MPEG-TS", s.Number, lastFrame, at)
					}
					lastFrame = at
				}
			}
		}
		if count != day.seconds/2 {
			t.Errorf("at %d pictures a second %d segments came out of %d s", day.rate, count, day.seconds)
		}
	}
}
