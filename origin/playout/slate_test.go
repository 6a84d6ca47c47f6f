package playout

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"slipstream/origin/child"
)

func needFFmpeg(t *testing.T) {
	t.Helper()
	if _, err := child.Look("ffmpeg"); err != nil {
		t.Skip(err)
	}
}

// ffmpeg runs it and returns what it says.
func ffmpeg(t *testing.T, in []byte, args string) string {
	t.Helper()
	cmd := exec.Command("ffmpeg", strings.Fields("-hide_banner -nostdin "+args)...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestSlateIsASecondThatCanBeRepeated(t *testing.T) {
	needFFmpeg(t)
	white := filepath.Join(t.TempDir(), "white 100%.png") // a name that looks like a pattern
	if out, err := exec.Command("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "color=white:size=60x60", "-frames:v", "1", "-update", "1", "file:"+white).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for picture, crop := range map[string]string{Black: "", white: "crop=90:90:34:0"} {
		slate, err := NewSlate(t.Context(), picture, 160, 90)
		if err != nil {
			t.Fatal(err)
		}
		var stream []byte
		for i := range 30 {
			unit := slate.picture(i)
			if key := startsDecoding(unit); key != (i%10 == 0) {
				t.Errorf("%s: picture %d is a key frame: %v", picture, i, key)
			}
			for _, nal := range unit {
				stream = append(append(stream, 0, 0, 0, 1), nal...)
			}
		}
		said := ffmpeg(t, stream, "-f h264 -framerate 10 -i pipe:0 -vf cropdetect=round=2:skip=0 -f null -")
		if !strings.Contains(said, "frame=   30") || !strings.Contains(said, "160x90") || strings.Contains(said, "rror") {
			t.Errorf("%s: %s", picture, said)
		}
		if crop != "" && !strings.Contains(said, crop) {
			t.Errorf("%s is not in the middle: %s", picture, said)
		}
	}
}

func TestASlateThatCannotBeIsASentence(t *testing.T) {
	needFFmpeg(t)
	text := filepath.Join(t.TempDir(), "text.png")
	if err := os.WriteFile(text, []byte("this is no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for picture, says := range map[string]string{
		"/nowhere.png": "the slate /nowhere.png cannot be read: no such file or directory",
		text:           "the slate " + text + " is no picture that can be shown: ",
	} {
		if _, err := NewSlate(t.Context(), picture, 160, 90); err == nil || !strings.HasPrefix(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want %q", err, says)
		}
	}
	t.Setenv("PATH", t.TempDir())
	missing := (*child.MissingError)(nil)
	if _, err := NewSlate(t.Context(), Black, 160, 90); !errors.As(err, &missing) {
		t.Errorf("without ffmpeg: %v", err)
	}
}

// A decoder takes what we say silence is for silence, of the right length, between pictures' worth of any kind of sound.
func TestSilenceIsSilent(t *testing.T) {
	needFFmpeg(t)
	kinds := map[string]Sound{"Opus": {Opus: true}}
	for channels := 1; channels <= 6; channels++ {
		kinds[fmt.Sprint("AAC with channels: ", channels)] = Sound{AAC: &mpeg4audio.AudioSpecificConfig{
			Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44_100, ChannelConfig: uint8(channels), ChannelCount: channels,
		}}
	}
	for name, kind := range kinds {
		track := &mpegts.Track{Codec: &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: 2}}}
		if kind.AAC != nil {
			track.Codec = &codecs.MPEG4Audio{Config: *kind.AAC}
		}
		var stream bytes.Buffer
		w := mpegts.Writer{W: &stream, Tracks: []*mpegts.Track{track}}
		if err := w.Initialize(); err != nil {
			t.Fatal(err)
		}
		frame := kind.silence()
		for at := time.Duration(0); at < 2*time.Second; at += kind.length(frame) {
			pts, err := int64(at)*90_000/int64(time.Second), error(nil)
			if kind.Opus {
				err = w.WriteOpus(track, pts, [][]byte{frame})
			} else {
				err = w.WriteMPEG4Audio(track, pts, [][]byte{frame})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		said := ffmpeg(t, stream.Bytes(), "-f mpegts -i pipe:0 -af volumedetect -f null -")
		if !strings.Contains(said, "max_volume: -91.0 dB") || !strings.Contains(said, "time=00:00:0") || strings.Contains(said, "rror") {
			t.Errorf("%s: %s", name, said)
		}
		if !strings.Contains(said, "time=00:00:01.9") && !strings.Contains(said, "time=00:00:02.0") {
			t.Errorf("%s lasts: %s", name, said)
		}
	}
	if (Sound{}).silence() != nil || (Sound{AAC: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, ChannelConfig: 7}}).silence() != nil {
		t.Error("there is silence of an unknown kind")
	}
}
