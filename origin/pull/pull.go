// Package pull fetches a channel's stream by itself, where others publish: a file in an endless loop or once, or what is behind
// an http or https URL, in practice the HLS of another origin.
//
// ffmpeg reads the source and writes an MPEG transport stream to a pipe, which goes into the same reader as a publisher's over SRT
// (ingest.Input): sessions, timestamps and restarts are those of any publisher. H.264 and AAC are copied; other codecs are encoded
// on the way. Of a multivariant playlist the largest picture is taken.
//
//	file, URL ──ffmpeg──MPEG-TS──▶ ingest.Input ──▶ transcode …
//
// A file comes in real time, and goes on after its end where it was: timestamps grow over the loop, so it is one session. ffmpeg
// is started again, after a pause that grows, whenever it ends; only a file that is played once, and has reached its end, is done.
//
// The operator chooses the source, but not what comes from it. Formats and protocols are limited to those that are meant, and so is
// memory; no shell is involved, a source that gives no picture is cut off, and ffmpeg does not outlive the context. Passwords and
// queries in URLs do not get into the log; ffmpeg's command line, which the users of this machine can see, has them. The certificate
// of an https address is checked against those that the system trusts; ffmpeg 5.1 does not check those of addresses that a playlist names.
package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"slipstream/origin/child"
)

// errEnded is the end of a source that gave no reason.
var errEnded = errors.New("the source has ended")

// An Input takes a transport stream; *ingest.Input is one. Receive returns, with an error, when the stream has ended or cannot
// be taken.
type Input interface {
	Receive(ctx context.Context, stream io.ReadCloser) error
}

// Config says what goes where.
type Config struct {
	Source Source
	Input  Input
	Logger *slog.Logger // best one that names the channel; nil: nothing is logged
}

// Run pulls until the context ends, or a file that is played once does.
func Run(ctx context.Context, cfg Config) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.supervise(ctx, child.Sleep)
}

func (cfg Config) supervise(ctx context.Context, sleep func(context.Context, time.Duration) bool) {
	backoff := child.Backoff{Least: 500 * time.Millisecond, Most: 15 * time.Second}
	for {
		began := time.Now()
		done, err := cfg.play(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case done && cfg.Source.once:
			cfg.Logger.Info("the file has been played to its end", "source", cfg.Source)
			return
		}
		wait := backoff.Next(time.Since(began))
		cfg.Logger.Warn("the source gives nothing more and is pulled again", "source", cfg.Source, "error", err, "pause", wait)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// play is one life of ffmpeg. It always returns an error; done says that the source has come to its end.
func (cfg Config) play(ctx context.Context) (done bool, err error) {
	f, err := cfg.Source.probe(ctx)
	if err != nil {
		return false, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("no pipe from ffmpeg: %w", err)
	}
	defer read.Close()
	process, err := child.Start(ctx, child.Config{Program: "ffmpeg", Args: cfg.Source.arguments(f), Stdout: write, Memory: memory})
	write.Close()
	if err != nil {
		return false, err
	}
	cfg.Logger.Info("pulling", "source", cfg.Source, "pid", process.Pid(), "copyPicture", f.copyVideo, "sound", f.audio >= 0, "copySound", f.copyAudio)
	stream := &pipe{File: read}
	err = cfg.Input.Receive(ctx, stream)
	if !stream.ended { // it was refused
		process.Kill()
		process.Wait()
		return false, err
	}
	exit := process.Wait()
	if exit.Err == nil && exit.Tail == "" {
		return true, errEnded
	}
	return exit.Err == nil, cfg.Source.redact(exit)
}

// A pipe knows whether it was read to its end. Otherwise who stopped reading had a reason.
type pipe struct {
	*os.File
	ended bool
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.File.Read(b)
	p.ended = p.ended || errors.Is(err, io.EOF)
	return n, err
}
