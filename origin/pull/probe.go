package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"slipstream/origin/child"
)

const (
	// probePatience is how long a source may take to tell what is in it.
	probePatience = 30 * time.Second
	probeBytes    = 1 << 20
	// memory is what ffmpeg and ffprobe may have each: a playlist without an end, for one, would take all that there is.
	memory = 2 << 30
)

// found is what of a source is taken, and whether it can go out as it is.
type found struct {
	video, audio         int // numbers of streams; audio -1: there is none
	copyVideo, copyAudio bool
}

// Check says whether a file is one that can be played. Of an address it says nothing, because what is not there now may come.
func (s Source) Check(ctx context.Context) error {
	if s.remote {
		return nil
	}
	_, err := s.probe(ctx)
	return err
}

func (s Source) probe(ctx context.Context) (found, error) {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	args := append([]string{
		"-loglevel", "error", "-of", "json", "-show_programs", "-show_streams", "-show_entries",
		"program=program_id:stream=index,codec_type,codec_name,profile,pix_fmt,width,height:stream_disposition=attached_pic",
	}, s.input()...)
	out, err := child.OutputOf(ctx, probeBytes, child.Config{Program: "ffprobe", Args: args, Memory: memory})
	missing := (*child.MissingError)(nil)
	switch {
	case errors.As(err, &missing):
		return found{}, err
	case errors.Is(err, context.DeadlineExceeded):
		return found{}, fmt.Errorf("the source %s has not said within %v what is in it", s, probePatience)
	case err != nil && s.remote:
		return found{}, fmt.Errorf("the source %s cannot be read: %w", s, s.redact(err))
	case err != nil:
		return found{}, fmt.Errorf("the source %s is no media file that can be played: %w", s, err)
	}
	f, err := judge(out)
	if err != nil {
		return found{}, fmt.Errorf("the source %s %w", s, err)
	}
	return f, nil
}

type stream struct {
	Index       int    `json:"index"`
	Type        string `json:"codec_type"`
	Codec       string `json:"codec_name"`
	Profile     string `json:"profile"`
	Pixels      string `json:"pix_fmt"`
	Width       int64  `json:"width"`
	Height      int64  `json:"height"`
	Disposition struct {
		AttachedPicture int `json:"attached_pic"`
	} `json:"disposition"`
}

func (s stream) isPicture() bool { return s.Type == "video" && s.Disposition.AttachedPicture == 0 }
func (s stream) isSound() bool   { return s.Type == "audio" }
func (s stream) size() int64     { return s.Width * s.Height }

// judge takes the largest picture, and the first sound of its program: each rendition of a multivariant playlist is a program,
// and only the one that is taken is fetched.
func judge(report []byte) (found, error) {
	var has struct {
		Programs []struct {
			Streams []stream `json:"streams"`
		} `json:"programs"`
		Streams []stream `json:"streams"`
	}
	if err := json.Unmarshal(report, &has); err != nil {
		return found{}, fmt.Errorf("is not understood by ffprobe: %w", err)
	}
	var groups [][]stream
	for _, program := range has.Programs {
		groups = append(groups, program.Streams)
	}
	groups = append(groups, has.Streams) // last: of equals the first is taken
	best, picture := 0, -1
	for i, group := range groups {
		for k, s := range group {
			if s.isPicture() && (picture < 0 || s.size() > groups[best][picture].size()) {
				best, picture = i, k
			}
		}
	}
	if picture < 0 {
		return found{}, errors.New("has no picture")
	}
	video := groups[best][picture]
	f := found{video: video.Index, audio: -1, copyVideo: video.Codec == "h264" && (video.Pixels == "yuv420p" || video.Pixels == "yuvj420p")}
	if k := slices.IndexFunc(groups[best], stream.isSound); k >= 0 {
		sound := groups[best][k]
		f.audio, f.copyAudio = sound.Index, sound.Codec == "aac" && sound.Profile == "LC"
	}
	return f, nil
}
