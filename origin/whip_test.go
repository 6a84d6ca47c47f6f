package origin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"
	"go.uber.org/goleak"

	"slipstream/origin/ingest/rtc/rtctest"
	"slipstream/origin/transcode"
)

// A film is what an encoder has made: 30 pictures and 50 packets of sound a second.
type film struct {
	pictures [][]byte // access units with start codes
	sounds   [][]byte // Opus packets
}

// shoot has ffmpeg make a film: test picture and a tone that beeps.
func shoot(t *testing.T) film {
	t.Helper()
	dir := t.TempDir()
	picture, sound := filepath.Join(dir, "film.h264"), filepath.Join(dir, "film.opus")
	args := "-nostdin -loglevel error -f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=48000 -t 2" +
		" -map 0:v -c:v libx264 -preset ultrafast -profile:v baseline -pix_fmt yuv420p -g 30 -threads 1 -f h264 " + picture +
		" -map 1:a -t 2 -c:a libopus -ac 2 -page_duration 20000 " + sound
	if out, err := exec.Command("ffmpeg", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return film{readPictures(t, picture), readSounds(t, sound)}
}

func open(t *testing.T, name string) io.Reader {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return bufio.NewReader(file)
}

func readPictures(t *testing.T, name string) (pictures [][]byte) {
	t.Helper()
	reader, err := h264reader.NewReader(open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	var unit []byte
	for {
		nal, err := reader.NextNAL()
		if errors.Is(err, io.EOF) {
			return pictures
		} else if err != nil {
			t.Fatal(err)
		}
		unit = append(append(unit, 0, 0, 0, 1), nal.Data...)
		if nal.UnitType == h264reader.NalUnitTypeCodedSliceIdr || nal.UnitType == h264reader.NalUnitTypeCodedSliceNonIdr {
			pictures, unit = append(pictures, unit), nil
		}
	}
}

func readSounds(t *testing.T, name string) (sounds [][]byte) {
	t.Helper()
	reader, _, err := oggreader.NewWith(open(t, name))
	if err != nil {
		t.Fatal(err)
	}
	for {
		page, _, err := reader.ParseNextPage()
		if errors.Is(err, io.EOF) {
			return sounds
		} else if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(page, []byte("OpusTags")) {
			sounds = append(sounds, page)
		}
	}
}

// show sends the film again and again, in real time, until the context ends.
func (f film) show(ctx context.Context, p *rtctest.Publisher) error {
	begin := time.Now()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for picture, sound := 0, 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		for now := time.Since(begin); time.Duration(picture)*time.Second/30 < now; picture++ {
			if err := p.Picture(f.pictures[picture%len(f.pictures)], time.Second/30); err != nil {
				return err
			}
		}
		for now := time.Since(begin); time.Duration(sound)*20*time.Millisecond < now; sound++ {
			if err := p.Sound(f.sounds[sound%len(f.sounds)], 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// A publisher over WHIP puts its channel on the air, with picture and sound, and takes it off again.
func TestWHIPGoesOnTheAir(t *testing.T) {
	if err := transcode.Check(); err != nil {
		t.Skip(err)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	film := shoot(t)
	cfg := local(t)
	cfg.WHIP = "127.0.0.1:0"
	cfg.Ladder = []transcode.Rung{{Name: "180p", Width: 320, Height: 180, VideoKbps: 300, AudioKbps: 64}}
	at, stop := running(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	p, err := rtctest.Dial(ctx, "http://"+at.HTTP+"/whip/demo", at.Channels[0].StreamKey, true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	showing, cut := context.WithCancel(ctx)
	shown := make(chan error, 1)
	go func() { shown <- film.show(showing, p) }()

	live := "http://" + at.HTTP + "/live/demo/180p/"
	segments := regexp.MustCompile(`(?m)^\d+\.m4s$`)
	var names []string
	for len(names) < 4 { // of which the first may begin late
		if ctx.Err() != nil {
			t.Fatalf("after a minute there are %d segments", len(names))
		}
		time.Sleep(100 * time.Millisecond)
		if status, playlist := get(t, live+"index.m3u8"); status == http.StatusOK {
			names = segments.FindAllString(playlist, -1)
		}
	}
	if status, body := get(t, "http://"+at.HTTP+"/stats.json"); status != 200 || !strings.Contains(body, `"WHIP"`) {
		t.Errorf("the statistics do not say who publishes: %s", body)
	}
	_, playlist := get(t, live+"index.m3u8")
	start := regexp.MustCompile(`URI="(init-[^"]+)"`).FindStringSubmatch(playlist)
	if start == nil {
		t.Fatalf("no init section: %s", playlist)
	}
	_, media := get(t, live+start[1])
	for _, name := range names[1:3] {
		_, segment := get(t, live+name)
		media += segment
	}
	checkMedia(t, media)

	if answer, err := p.End(ctx); err != nil || answer.Status != http.StatusOK {
		t.Errorf("the end: %v, %v", answer, err)
	}
	cut()
	if err := <-shown; err != nil {
		t.Errorf("sending: %v", err)
	}
	for _, stats := get(t, "http://"+at.HTTP+"/stats.json"); strings.Contains(stats, `"connected":true`); _, stats = get(t, "http://"+at.HTTP+"/stats.json") {
		if ctx.Err() != nil {
			t.Fatal("the publisher has gone and the channel still has one")
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// checkMedia decodes two segments: four seconds of picture and of sound that can be heard.
func checkMedia(t *testing.T, media string) {
	t.Helper()
	decode := exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-i", "pipe:0", "-af", "volumedetect", "-f", "null", "-")
	decode.Stdin = strings.NewReader(media)
	out, err := decode.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := string(out)
	if !regexp.MustCompile(`frame=\s*1(19|20|21) `).MatchString(said) {
		t.Errorf("there are not 120 pictures:\n%s", said)
	}
	if !regexp.MustCompile(`mean_volume: -[12]\d\.`).MatchString(said) {
		t.Errorf("the tone is not heard:\n%s", said)
	}
	if regexp.MustCompile(`(?i)error|invalid|corrupt`).MatchString(said) {
		t.Errorf("it does not decode well:\n%s", said)
	}
}
