package transcode_test

import (
	"bytes"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/transcode"
)

// follow checks that a rendition's segments follow each other without a hole and have the whole length, but for the first and the last.
func follow(t *testing.T, segments []cmaf.Segment) {
	t.Helper()
	for i := 1; i < len(segments); i++ {
		before, s := segments[i-1], segments[i]
		if s.Number != before.Number+1 {
			t.Errorf("%s %d follows %d", s.Rendition, s.Number, before.Number)
		}
		if off := s.StartMs - s.Number*2000; off < 0 || off > 22 {
			t.Errorf("%s %d starts at %d ms", s.Rendition, s.Number, s.StartMs)
		}
		if i < len(segments)-1 && (s.DurationMs < 1960 || s.DurationMs > 2022) {
			t.Errorf("%s %d lasts %d ms", s.Rendition, s.Number, s.DurationMs)
		}
	}
}

const passable = "-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -g 60 -sc_threshold 0 -pix_fmt yuv420p -c:a aac"

// The publisher's picture is passed on where its key frames lie on the grid; sound alone and smaller rungs come with it.
func TestThePublishersOwnPicture(t *testing.T) {
	t.Parallel()
	s := openStudioFor(t, func(cfg *transcode.Config) {
		cfg.PassThrough = true
		cfg.Ladder = append(transcode.DemonstrationLadder(), transcode.Rung{Name: "audio", AudioKbps: 32})
	})
	s.publish("secret", testPicture+" "+testTone+" "+passable)
	s.waitFor(4, "source", "180p", "audio")
	if n := len(s.of("360p")); n > 0 {
		t.Errorf("%d segments of a rung as large as the source were made", n)
	}
	for rendition, codecs := range map[string]string{"source": "avc1.42c01e,mp4a.40.2", "180p": "avc1.4d400d,mp4a.40.2", "audio": "mp4a.40.2"} {
		segments := s.of(rendition)[:4]
		follow(t, segments)
		checkDecodes(t, segments)
		if got := segments[1].Codecs; got != codecs {
			t.Errorf("%s has the codecs %s", rendition, got)
		}
	}
	// Its first picture began the session, so its first segment is whole.
	if first := s.of("source")[0]; first.StartMs != first.Number*2000 || first.DurationMs != 2000 || first.Width != 640 || first.Height != 360 {
		t.Errorf("the first segment is %dx%d from %d ms for %d ms", first.Width, first.Height, first.StartMs, first.DurationMs)
	}
	// What ffmpeg decodes of it is exactly what it decodes of the publisher's picture: the same pixels, not encoded anew. The
	// test picture counts frames, so the first one is known.
	own := pixels(t, file(s.of("source")[:1]), "-frames:v", "1")
	sent := run(t, nil, "ffmpeg", strings.Fields("-v error -f lavfi -i testsrc2=size=640x360:rate=30 -frames:v 1 "+strings.Split(passable, " -c:a")[0]+" -f h264 pipe:1")...)
	if want := pixels(t, []byte(sent), "-frames:v", "1"); own != want {
		t.Errorf("the first picture is another one: %s, %s", own, want)
	}
}

// pixels is a hash of what ffmpeg decodes.
func pixels(t *testing.T, media []byte, args ...string) string {
	t.Helper()
	out := run(t, bytes.NewReader(media), "ffmpeg", append(append([]string{"-v", "error", "-i", "pipe:0", "-an"}, args...), "-f", "framemd5", "-")...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	fields := strings.Split(lines[len(lines)-1], ",")
	return strings.TrimSpace(fields[len(fields)-1])
}

// Key frames that do not come where segments begin are noticed at the first boundary. Nothing is lost by that: the encoder is given
// what came since the key frame once more.
func TestAPictureThatCannotBePassedOnIsTranscoded(t *testing.T) {
	t.Parallel()
	s := openStudioFor(t, func(cfg *transcode.Config) { cfg.PassThrough = true })
	s.publish("secret", testPicture+" "+testTone+" "+strings.Replace(passable, "-g 60", "-g 75", 1))
	s.waitFor(3, "360p")
	s.waitFor(4, "180p")
	s.waitLog("the publisher's picture is transcoded from now on, not passed through", 1)
	s.waitLog("set the publisher's key-frame interval to 2 s or 1 s", 1)
	follow(t, s.of("180p"))
	checkDecodes(t, s.of("360p"))
	if n := len(s.of("source")); n != 1 {
		t.Errorf("%d segments were passed on", n)
	}
}

// A machine that is too slow makes one rung less, and makes it again when it has been on time for long enough. The other rung
// has no hole meanwhile. The machine is slow because the encoder is stopped for nine tenths of the time; the clock that it is
// judged by is moved on where a minute would pass.
func TestASlowMachineMakesLessOfTheLadder(t *testing.T) {
	t.Parallel()
	began, ahead, lag := time.Now(), atomic.Int64{}, make(chan int64)
	s := openStudioFor(t, func(cfg *transcode.Config) {
		cfg.DropRungs = true
		cfg.OnStatus = func(_ string, status transcode.Status) {
			select {
			case lag <- status.LagMs: // somebody waits for it
			default:
			}
		}
		cfg.SetClock(func() time.Duration { return time.Since(began) + time.Duration(ahead.Load()) })
	})
	leap := func(d time.Duration) { ahead.Add(int64(d)) }
	s.publish("secret", testPicture+" "+testTone+" "+encoders)
	s.wait(2)
	leap(10 * time.Second)
	pid, err := strconv.Atoi(s.transcoders()[0])
	if err != nil {
		t.Fatal(err)
	}
	const told = "left out from now on: 360p"
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(s.log.String(), told); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the machine is not found to be too slow")
		}
		_ = syscall.Kill(pid, syscall.SIGSTOP)
		time.Sleep(400 * time.Millisecond)
		_ = syscall.Kill(pid, syscall.SIGCONT)
		leap(time.Second)
	}
	s.waitLog("ffmpeg was started", 2)
	leap(10 * time.Second) // this run is judged from now on
	for punctual, timeout := 0, time.After(30*time.Second); punctual < 2; {
		select {
		case ms := <-lag:
			if punctual++; ms > 1500 {
				punctual = 0
			}
		case <-timeout:
			t.Fatal("with one rung the machine does not catch up")
		}
	}
	leap(time.Minute) // for so long it was on time
	s.waitLog("a rung of the ladder comes back", 1)
	s.waitLog("ffmpeg was started", 3)
	s.waitFor(len(s.of("360p"))+2, "360p")
	follow(t, s.of("180p"))
	if large, small := len(s.of("360p")), len(s.of("180p")); large >= small {
		t.Errorf("%d segments of the rung that went, %d of the other one", large, small)
	}
	for _, want := range []string{"s behind the publisher", "rungs=[180p]"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
}
