package ts_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"slipstream/origin/cmaf"
	"slipstream/origin/ts"
)

// recorded are the segments of a run of ffmpeg: 1.1 s, 2 s and 1.3 s.
func recorded(t testing.TB) (segments []cmaf.Segment) {
	t.Helper()
	stream, err := os.ReadFile("../cmaf/testdata/run.mp4")
	if err != nil {
		t.Fatal(err)
	}
	cutter := cmaf.NewCutter("360p")
	outputs, err := cutter.Write(stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range append(outputs, cutter.Close()...) {
		if o.Segment != nil {
			segments = append(segments, *o.Segment)
		}
	}
	return segments
}

func transport(t testing.TB, s cmaf.Segment) []byte {
	t.Helper()
	stream, err := ts.Segment(s.Init, s.Data, s.Number)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// heard is what another implementation reads from a transport stream.
type heard struct {
	pictures, frames []int64 // presentation times, 33 bits
	units            [][][]byte
	sound            [][]byte
}

func listen(t testing.TB, stream []byte) (h heard) {
	t.Helper()
	r := &mpegts.Reader{R: bytes.NewReader(stream)}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	r.OnDecodeError(func(err error) { t.Errorf("something cannot be decoded: %v", err) })
	for _, track := range r.Tracks() {
		switch track.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(track, func(pts, _ int64, unit [][]byte) error {
				h.pictures, h.units = append(h.pictures, pts), append(h.units, unit)
				return nil
			})
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(track, func(pts int64, frames [][]byte) error {
				for i, frame := range frames {
					h.frames, h.sound = append(h.frames, (pts+int64(i)*1920)&(1<<33-1)), append(h.sound, frame)
				}
				return nil
			})
		}
	}
	for {
		if err := r.Read(); err == io.EOF || err != nil && err.Error() == "astits: no more packets" {
			return h
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestEverythingIsInItAtItsTime(t *testing.T) {
	for i, s := range recorded(t) {
		h := listen(t, transport(t, s))
		video, err := cmaf.TrackSamples(s.Init, s.Data, cmaf.Video)
		if err != nil {
			t.Fatal(err)
		}
		audio, err := cmaf.TrackSamples(s.Init, s.Data, cmaf.Audio)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.pictures) != len(video.List) || len(h.frames) != len(audio.List) {
			t.Fatalf("segment %d: %d pictures and %d frames of sound, want %d and %d", i, len(h.pictures), len(h.frames), len(video.List), len(audio.List))
		}
		for n, sample := range video.List {
			if want := sample.PTS * 90_000 / video.Timescale % (1 << 33); h.pictures[n] != want {
				t.Errorf("segment %d: picture %d is at %d, want %d", i, n, h.pictures[n], want)
			}
			random := h264.IsRandomAccess(h.units[n])
			var kinds []h264.NALUType
			var slices []byte
			for _, unit := range h.units[n] {
				kind := h264.NALUType(unit[0] & 0x1f)
				kinds = append(kinds, kind)
				if kind == h264.NALUTypeIDR || kind == h264.NALUTypeNonIDR || kind == h264.NALUTypeSEI {
					slices = append(binary.BigEndian.AppendUint32(slices, uint32(len(unit))), unit...)
				}
			}
			if random && (kinds[0] != h264.NALUTypeSPS || kinds[1] != h264.NALUTypePPS) || !random && len(kinds) > 1 {
				t.Errorf("segment %d: picture %d consists of %v", i, n, kinds)
			}
			if random != (n%60 == 0) && i == 1 {
				t.Errorf("picture %d is a key frame: %v", n, random)
			}
			if !bytes.HasSuffix(sample.Data, slices) {
				t.Errorf("segment %d: picture %d is another one", i, n)
			}
		}
		// The reader hides delimiters.
		if n := bytes.Count(payloads(transport(t, s), 256), []byte{0, 0, 0, 1, 9, 0xf0}); n != len(video.List) {
			t.Errorf("segment %d: %d access unit delimiters for %d pictures", i, n, len(video.List))
		}
		for n, sample := range audio.List {
			if want := sample.PTS * 90_000 / audio.Timescale % (1 << 33); h.frames[n] != want || !bytes.Equal(h.sound[n], sample.Data) {
				t.Errorf("segment %d: frame %d of sound is at %d, want %d", i, n, h.frames[n], want)
			}
		}
	}
}

// payloads is what the packets of a PID carry, one after the other.
func payloads(stream []byte, pid int) (out []byte) {
	for at := 0; at < len(stream); at += 188 {
		p := stream[at : at+188]
		if int(p[1]&0x1f)<<8|int(p[2]) != pid {
			continue
		}
		from := 4
		if p[3]&0x20 != 0 {
			from += 1 + int(p[4])
		}
		out = append(out, p[from:]...)
	}
	return out
}

// ISO/IEC 13818-1, 2.4.3.3: within a PID the counter goes on with each packet that has a payload, also from one segment to the next.
func TestContinuityCountersGoOnFromSegmentToSegment(t *testing.T) {
	var stream []byte
	s := recorded(t)[1]
	for n := range int64(40) {
		s.Number = 881_892_606 + n
		if n%3 == 2 { // other pictures, other numbers of packets
			short := recorded(t)[n%2*2]
			short.Number = s.Number
			stream = append(stream, head(t, transport(t, short))...)
			continue
		}
		stream = append(stream, head(t, transport(t, s))...)
	}
	last := make(map[int]byte)
	count := make(map[int]int)
	for at := 0; at < len(stream); at += 188 {
		p := stream[at : at+188]
		pid := int(p[1]&0x1f)<<8 | int(p[2])
		if p[0] != 0x47 || p[1]&0x80 != 0 || p[3]&0xc0 != 0 || p[3]&0x10 == 0 {
			t.Fatalf("packet %d has the header %x", at/188, p[:4])
		}
		if p[3]&0x20 != 0 && p[4] > 182 {
			t.Fatalf("packet %d has %d bytes of adaptation and a payload", at/188, p[4])
		}
		if before, ok := last[pid]; ok && p[3]&15 != (before+1)&15 {
			t.Fatalf("packet %d of PID %d has the counter %d after %d", at/188, pid, p[3]&15, before)
		}
		last[pid] = p[3] & 15
		count[pid]++
	}
	if len(count) != 4 || count[0] != 40 || count[0x1000] != 40 || count[256]%16 != 0 || count[257]%16 != 0 {
		t.Errorf("packets of each PID: %v", count)
	}
}

// head checks that a segment begins with its tables and a key frame, as HLS asks.
func head(t *testing.T, stream []byte) []byte {
	t.Helper()
	if len(stream)%188 != 0 || stream[1] != 0x40 || stream[2] != 0 || stream[189] != 0x50 || stream[190] != 0 {
		t.Fatalf("%d bytes that begin with %x, %x", len(stream), stream[:4], stream[188:192])
	}
	p := stream[2*188:]
	if p[1] != 0x41 || p[2] != 0 || p[3]&0x20 == 0 || p[5]&0x50 != 0x50 {
		t.Fatalf("the first packet of pictures is %x: no clock, or no key frame", p[:12])
	}
	return stream
}

// at moves a segment in time by rewriting where its fragments start.
func at(t *testing.T, s cmaf.Segment, seconds int64) cmaf.Segment {
	t.Helper()
	data := bytes.Clone(s.Data)
	scales := []int64{15360, 48000} // the tracks take turns
	for i, from := 0, 0; ; i++ {
		n := bytes.Index(data[from:], []byte("tfdt"))
		if n < 0 {
			break
		}
		field := data[from+n+8 : from+n+16]
		binary.BigEndian.PutUint64(field, uint64(int64(binary.BigEndian.Uint64(field))+seconds*scales[i%2]))
		from += n + 16
	}
	s.Data = data
	return s
}

// Time stamps have 33 bits and the epoch does not: within this segment they begin at 0 again.
func TestTimeStampsWrap(t *testing.T) {
	s := recorded(t)[1]
	wrap := int64(18_481) // 2^33/90000 s, times this, lies near the recording
	startMs := wrap * (1 << 33) / 90 / 1000 * 1000
	moved := at(t, s, (startMs-s.StartMs)/1000-1)
	h := listen(t, transport(t, moved))
	wraps := 0
	for i := 1; i < len(h.pictures); i++ {
		step := h.pictures[i] - h.pictures[i-1]
		if step < 0 {
			wraps++
			step += 1 << 33
		}
		if step != 3000 {
			t.Fatalf("picture %d comes %d ticks after the one before it", i, step)
		}
	}
	if wraps != 1 || len(h.pictures) != 60 || len(h.frames) < 90 {
		t.Errorf("%d wraps in %d pictures from %d on", wraps, len(h.pictures), h.pictures[0])
	}
	for i := 1; i < len(h.frames); i++ {
		if step := (h.frames[i] - h.frames[i-1]) & (1<<33 - 1); step != 1920 {
			t.Fatalf("frame %d of sound comes %d ticks after the one before it", i, step)
		}
	}
}

func TestTracksMayBeAlone(t *testing.T) {
	s := recorded(t)[1]
	for _, kind := range []cmaf.Kind{cmaf.Video, cmaf.Audio} {
		init, err := cmaf.TrackInit(s.Init, kind)
		if err != nil {
			t.Fatal(err)
		}
		pieces, err := cmaf.TrackSegment(s.Init, s.Data, kind)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := ts.Segment(init, bytes.Join(pieces, nil), s.Number)
		if err != nil {
			t.Fatal(err)
		}
		h := listen(t, stream)
		if (len(h.pictures) == 60) != (kind == cmaf.Video) || (len(h.frames) > 90) != (kind == cmaf.Audio) {
			t.Errorf("%s: %d pictures, %d frames of sound", kind, len(h.pictures), len(h.frames))
		}
	}
}

func TestTheSameSegmentHasTheSameBytes(t *testing.T) {
	s := recorded(t)[1]
	if !bytes.Equal(transport(t, s), transport(t, s)) {
		t.Error("a segment was made twice, and differs")
	}
	if over := len(transport(t, s)) - len(s.Data); over > 20_000 {
		t.Errorf("a segment of %d bytes has %d more", len(s.Data), over) // of which each picture's last packet is the greatest part
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	s := recorded(t)[1]
	bad := bytes.Clone(s.Data)
	mdat := bytes.Index(bad, []byte("mdat"))
	bad[mdat+4] = 0xff // the length of the first NAL unit
	for name, data := range map[string][]byte{"no fragment": nil, "a NAL unit without an end": bad, "half a segment": s.Data[:len(s.Data)/2]} {
		if _, err := ts.Segment(s.Init, data, s.Number); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := ts.Segment(nil, s.Data, s.Number); err == nil {
		t.Error("a segment without an init section was accepted")
	}
}

// FuzzSegment damages a real segment: nothing may panic, and what comes out consists of packets.
func FuzzSegment(f *testing.F) {
	s := recorded(f)[0]
	f.Add([]byte{0, 60, 1}, false)
	f.Add([]byte{0, 120, 0xff, 0, 121, 0xff}, true)
	f.Add([]byte("\xaa\xb3\x00$\xc6\xc6\xc6\xde"), true) // an empty parameter set
	f.Fuzz(func(t *testing.T, damage []byte, init bool) {
		moov, data := bytes.Clone(s.Init), bytes.Clone(s.Data)
		target := data
		if init {
			target = moov
		}
		for ; len(damage) >= 3; damage = damage[3:] {
			target[(int(damage[0])<<8|int(damage[1]))%len(target)] = damage[2]
		}
		stream, err := ts.Segment(moov, data, s.Number)
		if err == nil && (len(stream)%188 != 0 || len(stream) > 16*len(data)+2<<20) {
			t.Fatalf("%d bytes became %d", len(data), len(stream))
		}
	})
}

func BenchmarkSegment(b *testing.B) {
	s := recorded(b)[1]
	b.SetBytes(int64(len(s.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ts.Segment(s.Init, s.Data, s.Number); err != nil {
			b.Fatal(err)
		}
	}
}
