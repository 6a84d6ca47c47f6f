package transcode_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/cmaf"
)

func TestFromRTMPToSegmentsOnTheGrid(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	stop := s.publish("secret", testPicture+" "+testTone+" "+encoders)
	s.wait(5) // a partial one and four whole ones
	for _, want := range []struct {
		rendition     string
		width, height int
		codecs        string
	}{
		{"360p", 640, 360, "avc1.4d401e,mp4a.40.2"},
		{"180p", 320, 180, "avc1.4d400d,mp4a.40.2"},
	} {
		segments := s.of(want.rendition)[:5]
		checkRun(t, segments)
		for _, segment := range segments {
			if segment.Codecs != want.codecs || segment.Width != want.width || segment.Height != want.height || segment.FrameRate != 30 {
				t.Errorf("%s is described as %q %d×%d at %v", want.rendition, segment.Codecs, segment.Width, segment.Height, segment.FrameRate)
			}
		}
		checkWithFFprobe(t, segments[2], want.width, want.height)
		checkDecodes(t, segments)
	}
	s.mu.Lock()
	t.Logf("delay between the end of a segment and its arrival, in ms: %v", s.delays)
	s.mu.Unlock()

	// The publisher leaves: what is under way comes out as a last, partial segment.
	if stderr, err := stop(); strings.Contains(stderr, "rror") {
		t.Errorf("the publisher says %q, %v", stderr, err)
	}
	s.waitLog("a publication ends", 1)
	// And returns: numbers go on.
	s.publish("secret", testPicture+" "+testTone+" "+encoders)
	s.waitLog("ffmpeg was started", 2)
	before := min(len(s.of("360p")), len(s.of("180p")))
	s.wait(before + 2)
	for _, rendition := range []string{"360p", "180p"} {
		segments := s.of(rendition)
		resumed := 1 + slices.IndexFunc(segments[1:], func(s cmaf.Segment) bool { return s.Discontinuity })
		if resumed == 0 {
			t.Fatalf("%s: the return of the publisher is not marked", rendition)
		}
		checkRun(t, segments[:resumed])
		checkRun(t, segments[resumed:])
		if last, next := segments[resumed-1], segments[resumed]; next.Number <= last.Number || next.StartMs < last.StartMs+last.DurationMs {
			t.Errorf("%s: after segment %d, to %d ms, comes %d from %d ms", rendition, last.Number, last.StartMs+last.DurationMs, next.Number, next.StartMs)
		}
	}
}

func TestFFmpegDiesInMidRun(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	s.publish("secret", testPicture+" "+testTone+" "+encoders)
	s.wait(2)
	first := s.transcoders()[0]
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.waitLog("ffmpeg was started", 2)
	if !strings.Contains(s.log.String(), "the transcoder failed and is started again") || !strings.Contains(s.log.String(), "signal: killed") {
		t.Error("the log does not say that ffmpeg was killed")
	}
	s.wait(min(len(s.of("360p")), len(s.of("180p"))) + 2)
	for _, rendition := range []string{"360p", "180p"} {
		segments := s.of(rendition)
		resumed := 1 + slices.IndexFunc(segments[1:], func(s cmaf.Segment) bool { return s.Discontinuity })
		if resumed == 0 {
			t.Fatalf("%s: the new run is not marked", rendition)
		}
		checkRun(t, segments[:resumed])
		checkRun(t, segments[resumed:])
		if last, next := segments[resumed-1], segments[resumed]; next.Number <= last.Number {
			t.Errorf("%s: after segment %d comes %d", rendition, last.Number, next.Number)
		}
	}
}

// No sound, another frame rate, B-frames, a portrait: all of it fits into the ladder.
func TestOddSource(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	s.publish("secret", "-re -f lavfi -i testsrc2=size=360x480:rate=25 -c:v libx264 -preset ultrafast -g 25 -bf 2 -pix_fmt yuv420p")
	s.wait(2)
	for rendition, size := range map[string][2]int{"360p": {640, 360}, "180p": {320, 180}} {
		segments := s.of(rendition)
		checkRun(t, segments)
		if segment := segments[1]; strings.Contains(segment.Codecs, "mp4a") || segment.Width != size[0] || segment.Height != size[1] {
			t.Errorf("%s: %q %d×%d", rendition, segment.Codecs, segment.Width, segment.Height)
		}
		checkDecodes(t, segments)
	}
	// The picture is 3:4, so 270 of 640 columns show it and the rest is black.
	bars := run(t, bytes.NewReader(file(s.of("360p")[1:2])), "ffmpeg", "-hide_banner", "-nostats", "-i", "pipe:0", "-vf", "cropdetect=round=2:skip=0", "-frames:v", "5", "-f", "null", "-")
	if !strings.Contains(bars, "crop=270:360:185:0") && !strings.Contains(bars, "crop=270:360:184:0") {
		t.Errorf("the picture is not in the middle:\n%s", bars)
	}
}

func TestFFmpegIsToldThatItsKeyIsWrong(t *testing.T) {
	t.Parallel()
	s := openStudio(t)
	stop := s.publish("guess", testPicture+" "+encoders)
	s.waitLog("the stream key is wrong", 1)
	if stderr, err := stop(); err == nil || !strings.Contains(stderr, "Server error: the stream key is wrong") {
		t.Errorf("ffmpeg ends with %v and says %q", err, stderr)
	}
	if strings.Contains(s.log.String(), "guess") {
		t.Errorf("the key is in the log")
	}
}

// checkRun checks the segments of one run of ffmpeg against the grid, in the bytes.
func checkRun(t *testing.T, segments []cmaf.Segment) {
	t.Helper()
	soundEnd := uint64(0)
	for i, segment := range segments {
		name := segment.Rendition + " " + strconv.FormatInt(segment.Number, 10)
		if segment.Discontinuity != (i == 0) {
			t.Errorf("%s: discontinuity %v at place %d of its run", name, segment.Discontinuity, i)
		}
		if segment.Number != segment.StartMs/2000 {
			t.Errorf("%s starts at %d ms", name, segment.StartMs)
		}
		if i > 0 {
			if before := segments[i-1]; segment.Number != before.Number+1 || segment.StartMs != segment.Number*2000 {
				t.Errorf("%s, from %d ms, follows %d, which ends at %d ms", name, segment.StartMs, before.Number, before.StartMs+before.DurationMs)
			}
		}
		if i > 0 && i < len(segments)-1 && segment.DurationMs != 2000 {
			t.Errorf("%s lasts %d ms", name, segment.DurationMs)
		}
		video, sound := timesOf(t, segment)
		if video.start%video.frame != 0 || int64(video.start*1000/video.timescale) != segment.StartMs {
			t.Errorf("%s: the first picture is at %d/%d s, off the grid of %d", name, video.start, video.timescale, video.frame)
		}
		if i > 0 && video.start != uint64(segment.Number)*2*video.timescale {
			t.Errorf("%s: tfdt is %d/%d s, not the epoch", name, video.start, video.timescale)
		}
		if !video.keyframe {
			t.Errorf("%s does not start with a key frame", name)
		}
		if sound.timescale == 0 {
			continue
		}
		if i > 0 && sound.start != soundEnd {
			t.Errorf("%s: sound starts at %d, the segment before ended at %d", name, sound.start, soundEnd)
		}
		soundEnd = sound.end
		// Within a frame of 1024 samples after the picture, or 1024 before it at the start.
		if off := int64(sound.start) - segment.Number*2*48000; i > 0 && (off < -1024 || off >= 1024) {
			t.Errorf("%s: sound starts %d samples from the picture", name, off)
		}
	}
}

type times struct {
	timescale, start, end, frame uint64
	pictures                     int // or frames of sound
	keyframe                     bool
}

func timesOf(t *testing.T, segment cmaf.Segment) (video, sound times) {
	t.Helper()
	f, err := mp4.DecodeFile(bytes.NewReader(file([]cmaf.Segment{segment})))
	if err != nil {
		t.Fatalf("%s %d: %v", segment.Rendition, segment.Number, err)
	}
	for _, track := range f.Init.Moov.Traks {
		var at times
		at.timescale = uint64(track.Mdia.Mdhd.Timescale)
		trex, _ := f.Init.Moov.Mvex.GetTrex(track.Tkhd.TrackID)
		for _, s := range f.Segments {
			for _, fragment := range s.Fragments {
				for _, traf := range fragment.Moof.Trafs {
					if traf.Tfhd.TrackID != track.Tkhd.TrackID {
						continue
					}
					length := traf.Trun.AddSampleDefaultValues(traf.Tfhd, trex)
					if at.start == 0 {
						at.start, at.frame = traf.Tfdt.BaseMediaDecodeTime(), uint64(traf.Trun.Samples[0].Dur)
						at.keyframe = traf.Trun.Samples[0].IsSync()
					} else if at.end != traf.Tfdt.BaseMediaDecodeTime() {
						t.Errorf("%s %d: a hole in track %d from %d to %d", segment.Rendition, segment.Number, track.Tkhd.TrackID, at.end, traf.Tfdt.BaseMediaDecodeTime())
					}
					at.end = traf.Tfdt.BaseMediaDecodeTime() + length
					at.pictures += len(traf.Trun.Samples)
				}
			}
		}
		if track.Mdia.Hdlr.HandlerType == "vide" {
			video = at
		} else {
			sound = at
		}
	}
	return video, sound
}

// file puts an init section and segments together.
func file(segments []cmaf.Segment) []byte {
	whole := bytes.Clone(segments[0].Init)
	for _, s := range segments {
		whole = append(whole, s.Data...)
	}
	return whole
}

func checkWithFFprobe(t *testing.T, segment cmaf.Segment, width, height int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "segment.mp4")
	if err := os.WriteFile(path, file([]cmaf.Segment{segment}), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run(t, nil, "ffprobe", "-v", "error", "-count_packets", "-of", "json", "-show_entries", "stream=codec_name,width,height,nb_read_packets,start_time,has_b_frames", path)
	var report struct {
		Streams []struct {
			Codec   string `json:"codec_name"`
			Width   int    `json:"width"`
			Height  int    `json:"height"`
			BFrames int    `json:"has_b_frames"`
			Packets string `json:"nb_read_packets"`
			Start   string `json:"start_time"`
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Streams) != 2 {
		t.Fatalf("ffprobe says %s", out)
	}
	video, sound := report.Streams[0], report.Streams[1]
	if video.Codec != "h264" || video.Width != width || video.Height != height || video.BFrames != 0 || video.Packets != "60" || video.Start != strconv.FormatInt(segment.Number*2, 10)+".000000" {
		t.Errorf("ffprobe sees %+v", video)
	}
	if sound.Codec != "aac" || sound.Packets != "93" && sound.Packets != "94" {
		t.Errorf("ffprobe sees %+v", sound)
	}
}

// checkDecodes has ffmpeg decode the segments, one after the other, without a complaint.
func checkDecodes(t *testing.T, segments []cmaf.Segment) {
	t.Helper()
	if said := run(t, bytes.NewReader(file(segments)), "ffmpeg", "-v", "error", "-xerror", "-copyts", "-i", "pipe:0", "-f", "null", "-"); said != "" {
		t.Errorf("ffmpeg complains about %s: %s", segments[0].Rendition, said)
	}
}

func run(t *testing.T, stdin *bytes.Reader, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v: %s", program, err, out)
	}
	return string(out)
}
