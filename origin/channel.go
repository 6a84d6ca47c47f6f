package origin

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"slipstream/origin/cmaf"
	"slipstream/origin/ingest"
	"slipstream/origin/keys"
	"slipstream/origin/playout"
	"slipstream/origin/server"
	"slipstream/origin/store"
	"slipstream/origin/switcher"
	"slipstream/origin/transcode"
)

// channel is a channel at work.
type channel struct {
	name      string
	keys      *keys.Channel
	backupKey string // "": it takes no backup
	store     *store.Store
	playout   *playout.Playout
	logger    *slog.Logger
	publisher atomic.Pointer[server.Publisher]
}

// open makes the channel ready for publishers. The context ends its encoder.
func (ch *channel) open(ctx context.Context, cfg Config, slate *playout.Slate) {
	ch.playout = playout.New(playout.Config{
		Policy: switcher.Policy{
			PatienceMs: cfg.InputLost.Milliseconds(), SteadyMs: cfg.InputSteady.Milliseconds(), SlateMs: cfg.SlateFor.Milliseconds(),
		},
		FrameRate: cfg.FrameRate, Slate: slate, Logger: ch.logger, Now: time.Now,
		Start: func(e playout.Encoding) (playout.Encoder, error) { return ch.encode(ctx, e, cfg) },
		After: ch.store.Signed,
		Changed: func(on switcher.Source, protocol string) {
			ch.publisher.Store(&server.Publisher{Connected: protocol != "", SinceMs: nowMs(), Source: protocol, Slate: on == switcher.Slate})
		},
	})
}

// encode starts an encoder. Its first number lies above all that were ever signed.
func (ch *channel) encode(ctx context.Context, e playout.Encoding, cfg Config) (playout.Encoder, error) {
	encoding := transcode.Config{
		Channel: ch.name, Ladder: cfg.Ladder, FrameRate: cfg.FrameRate, Audio: e.Sound.AAC, Opus: e.Sound.Opus, FirstPTS: e.FirstPTS, ArrivedMs: e.EpochMs,
		After: max(0, ch.store.Signed()), OnSegment: ch.publish, Logger: ch.logger,
	}
	if cfg.LowLatency {
		encoding.OnPart = ch.publishPart
	}
	session, err := transcode.Start(ctx, encoding)
	if err != nil {
		return nil, err // not a session that is nil
	}
	return session, nil
}

// start takes a publication in.
func (ch *channel) start(p ingest.Publication) (ingest.Session, error) {
	input, err := ch.playout.Join(playout.Publication{
		Backup: p.Backup, Protocol: p.Protocol, Sound: playout.Sound{AAC: p.Audio, Opus: p.Opus}, FirstPTS: p.FirstPTS, ArrivedMs: p.ArrivedMs,
	})
	if err != nil {
		return nil, err
	}
	return input, nil
}

// publish is called for each segment that leaves the encoder. One that cannot be published leaves a gap; the next one is
// tried anew, because a full disk or a clock that was set may be mended in the meantime.
func (ch *channel) publish(_ string, segment cmaf.Segment) {
	segment.Slate = ch.playout.Shown(segment.StartMs, segment.StartMs+segment.DurationMs)
	err := ch.store.Publish(segment, nowMs())
	var old *store.NotNewerError
	switch {
	case errors.As(err, &old):
		ch.logger.Info("a segment was left out", "reason", err)
	case err != nil:
		ch.logger.Error("a segment was left out", "error", err)
	default:
		ch.logger.Debug("a segment was published", "rendition", segment.Rendition, "number", segment.Number, "bytes", len(segment.Data))
	}
}

// publishPart is called for each part, ahead of its segment.
func (ch *channel) publishPart(_ string, part cmaf.Part) {
	err := ch.store.PublishPart(part, nowMs())
	var old *store.NotNewerError
	if err != nil && !errors.As(err, &old) { // otherwise its segment will say so
		ch.logger.Error("a part was left out", "error", err)
	}
}
