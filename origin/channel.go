package origin

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"slipstream/origin/cmaf"
	"slipstream/origin/ingest"
	"slipstream/origin/keys"
	"slipstream/origin/server"
	"slipstream/origin/store"
	"slipstream/origin/transcode"
)

// channel is a channel at work.
type channel struct {
	name      string
	keys      *keys.Channel
	store     *store.Store
	logger    *slog.Logger
	publisher atomic.Pointer[server.Publisher]
}

// start begins to transcode a publication. The encoder's first number lies above all that were ever signed.
func (ch *channel) start(ctx context.Context, p ingest.Publication, cfg Config) (ingest.Session, error) {
	encoding := transcode.Config{
		Channel: ch.name, Ladder: cfg.Ladder, FrameRate: cfg.FrameRate, Audio: p.Audio, Opus: p.Opus, FirstPTS: p.FirstPTS, ArrivedMs: p.ArrivedMs,
		After: max(0, ch.store.Signed()), OnSegment: ch.publish, Logger: ch.logger,
	}
	if cfg.LowLatency {
		encoding.OnPart = ch.publishPart
	}
	session, err := transcode.Start(ctx, encoding)
	if err != nil {
		return nil, err
	}
	ch.publisher.Store(&server.Publisher{Connected: true, SinceMs: nowMs(), Source: p.Protocol})
	return publication{session, ch}, nil
}

// publish is called for each segment that leaves the encoder. One that cannot be published leaves a gap; the next one is
// tried anew, because a full disk or a clock that was set may be mended in the meantime.
func (ch *channel) publish(_ string, segment cmaf.Segment) {
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

// publication is a transcoding session that marks its channel as free when it ends.
type publication struct {
	ingest.Session
	ch *channel
}

// Close implements ingest.Session.
func (p publication) Close() error {
	err := p.Session.Close()
	p.ch.publisher.Store(&server.Publisher{SinceMs: nowMs()})
	return err
}
