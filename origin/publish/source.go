package publish

import (
	"context"
	"errors"
	"log/slog"

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

// One key frame a second: a session of the transcoder can only begin with one.
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
