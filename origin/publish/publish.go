// Package publish is a publisher for when there is none: it has ffmpeg push a test
// picture to an RTMP address, in real time.
//
// It stands outside of the origin's media path on purpose. What it sends goes through the
// same door as OBS, so a test channel tests the ingest too. The test picture shows a
// running UTC clock (if this ffmpeg has drawtext and a font), so that the latency of what
// a viewer sees can be read off the screen, and sounds a tone that beeps every second, so
// that picture and sound can be compared.
//
// ffmpeg is started again, after a pause that grows, whenever it ends; it does not outlive
// the context.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"strings"
	"time"

	"slipstream/origin/child"
)

// Config describes a publisher.
type Config struct {
	URL    string // such as rtmp://127.0.0.1:1935/live/<stream key>
	Logger *slog.Logger
}

// Run publishes until the context ends; then it returns nil. A missing ffmpeg is a
// *child.MissingError.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	target, err := url.Parse(cfg.URL)
	if err != nil || target.Scheme != "rtmp" || target.Host == "" {
		return errors.New("the address to publish to must be like rtmp://host:1935/live/<stream key>")
	}
	input, err := testPicture(ctx, cfg.Logger)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	args := append([]string{"-hide_banner", "-nostdin", "-loglevel", "error"}, input...)
	args = append(args, "-flvflags", "no_duration_filesize", "-rw_timeout", "10000000", "-f", "flv", cfg.URL)
	supervise(ctx, cfg, args, path.Base(target.Path))
	return nil
}

// supervise runs ffmpeg over and over until the context ends.
func supervise(ctx context.Context, cfg Config, args []string, key string) {
	backoff := child.Backoff{Least: 500 * time.Millisecond, Most: 5 * time.Second}
	for ctx.Err() == nil {
		began := time.Now()
		var err error
		// The grace lets ffmpeg say good-bye, so that the ingest need not wait for silence.
		p, err := child.Start(ctx, child.Config{Program: "ffmpeg", Args: args, Grace: 2 * time.Second})
		if err == nil {
			cfg.Logger.Info("publishing", "pid", p.Pid())
			err = p.Wait()
		}
		if ctx.Err() != nil {
			return
		}
		wait := backoff.Next(time.Since(began))
		cfg.Logger.Warn("the publisher ended and is started again", "error", redact(err, key), "pause", wait)
		child.Sleep(ctx, wait)
	}
}

// redact keeps the stream key, which ffmpeg repeats in its messages, out of the log.
func redact(err error, key string) string {
	sentence := fmt.Sprint(err)
	if key == "" {
		return sentence
	}
	return strings.ReplaceAll(sentence, key, "<stream key>")
}
