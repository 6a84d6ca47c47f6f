package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"slipstream/origin/child"
)

const (
	picture = "testsrc2=size=640x360:rate=30"
	// A quiet tone; its second voice sounds briefly at every full second.
	tone = "sine=frequency=440:beep_factor=4:sample_rate=48000"
	// The text passes three parsers (filter graph, option, expansion), each of which
	// takes its share of the backslashes.
	clock = `drawtext=text='%{gmtime\:%Y-%m-%d %H\\\:%M\\\:%S} UTC':fontcolor=white:fontsize=h/12:box=1:boxcolor=black@0.6:boxborderw=8:x=(w-tw)/2:y=h-2*th`
)

// encoding is for what is not H.264 and AAC already. One key frame a second: a session of
// the transcoder can only begin with one.
var (
	encodeVideo = []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "30"}
	encodeAudio = []string{"-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"}
)

// testPicture is the part of the command line that makes the test picture.
func testPicture(ctx context.Context, logger *slog.Logger) ([]string, error) {
	filter := clock
	err := try(ctx, clock)
	if missing := (*child.MissingError)(nil); errors.As(err, &missing) {
		return nil, err
	}
	if err != nil {
		filter = "null"
		logger.Info("the test picture has no clock: this ffmpeg has no drawtext or no font", "error", err)
	}
	args := []string{
		"-re", "-f", "lavfi", "-i", picture,
		"-re", "-f", "lavfi", "-i", tone,
		"-map", "0:v", "-map", "1:a", "-vf", filter, "-b:v", "1500k",
	}
	return append(append(args, encodeVideo...), encodeAudio...), nil
}

// try says whether this ffmpeg can run a video filter.
func try(ctx context.Context, filter string) error {
	_, err := child.Output(ctx, 0, "ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error",
		"-f", "lavfi", "-i", "color=size=64x64:duration=0.04", "-vf", filter, "-f", "null", "-")
	return err
}

// file is the part of the command line that loops a file. Streams that RTMP and the
// ingest take are copied, others are encoded.
func file(ctx context.Context, source string) ([]string, error) {
	path, err := filepath.Abs(source)
	if err != nil {
		return nil, fmt.Errorf("the source %q cannot be found: %w", source, err)
	}
	opened, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the source cannot be read: %w", err)
	}
	info, err := opened.Stat()
	opened.Close()
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the source %s is no file", path)
	}
	found, err := probe(ctx, path)
	if err != nil {
		return nil, err
	}
	args := []string{
		"-re", "-stream_loop", "-1", "-fflags", "+genpts",
		"-i", "file:" + path, // "file:", because a colon in a name would make it a protocol
		"-map", "0:V:0", "-map", "0:a:0?",
	}
	if found.copyVideo {
		args = append(args, "-c:v", "copy")
	} else {
		args = append(append(args, "-vf", "scale='min(1920,iw)':-2", "-b:v", "4000k"), encodeVideo...)
	}
	if found.copyAudio {
		return append(args, "-c:a", "copy"), nil
	}
	return append(args, encodeAudio...), nil
}

// What ffprobe found: the first picture and sound, and whether they can go out as they are.
type found struct{ copyVideo, copyAudio bool }

func probe(ctx context.Context, path string) (found, error) {
	const limit = 1 << 20
	out, err := child.Output(ctx, limit, "ffprobe", "-loglevel", "error", "-of", "json",
		"-show_entries", "stream=codec_type,codec_name,profile,pix_fmt:stream_disposition=attached_pic", "file:"+path)
	if missing := (*child.MissingError)(nil); errors.As(err, &missing) {
		return found{}, err
	}
	if err != nil {
		return found{}, fmt.Errorf("the source %s is no media file that ffmpeg reads: %w", path, err)
	}
	return judge(path, out)
}

func judge(path string, report []byte) (found, error) {
	var streams struct {
		Streams []struct {
			Type        string `json:"codec_type"`
			Codec       string `json:"codec_name"`
			Profile     string `json:"profile"`
			Pixels      string `json:"pix_fmt"`
			Disposition struct {
				AttachedPicture int `json:"attached_pic"`
			} `json:"disposition"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(report, &streams); err != nil {
		return found{}, fmt.Errorf("what ffprobe says about %s makes no sense: %w", path, err)
	}
	var f found
	video, audio := false, false
	for _, s := range streams.Streams {
		switch {
		case s.Type == "video" && !video && s.Disposition.AttachedPicture == 0:
			video = true
			f.copyVideo = s.Codec == "h264" && (s.Pixels == "yuv420p" || s.Pixels == "yuvj420p")
		case s.Type == "audio" && !audio:
			audio = true
			f.copyAudio = s.Codec == "aac" && s.Profile == "LC"
		}
	}
	if !video {
		return found{}, fmt.Errorf("the source %s has no picture", path)
	}
	return f, nil
}
