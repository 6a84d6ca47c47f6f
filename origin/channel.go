package origin

import (
	"context"
	"errors"
	"fmt"
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
	encoding  encoding
	encoder   encoder
	logger    *slog.Logger
	publisher atomic.Pointer[server.Publisher]
}

// described is what an operator needs to know of it.
func (ch *channel) described() Channel {
	return Channel{ch.name, ch.keys.ID(), ch.keys.StreamKey(), ch.backupKey}
}

// place is that of its publisher or of its backup.
func (ch *channel) place(backup bool) (string, error) {
	switch {
	case !backup:
		return ch.name, nil
	case ch.backupKey == "":
		return "", fmt.Errorf("the channel %q takes no backup", ch.name)
	}
	return ingest.BackupOf(ch.name), nil
}

// served is what the server needs to know of it.
func (ch *channel) served(cfg Config) server.Channel {
	floors, audio := ch.encoding.rates()
	return server.Channel{
		Name: ch.name, ID: ch.keys.ID(), Store: ch.store, FloorBps: floors, AudioBps: audio, StreamKey: ch.keys.StreamKey(), Tracker: cfg.Tracker, CDNs: cfg.cdns,
		HoldBack:  cfg.holdBackOf(ch.name),
		Publisher: func() server.Publisher { return *ch.publisher.Load() },
		Encoder:   ch.encoder.status,
	}
}

// open makes the channel ready for publishers. The context ends its encoder.
func (ch *channel) open(ctx context.Context, cfg Config, slate *playout.Slate) {
	ch.playout = playout.New(playout.Config{
		Policy: switcher.Policy{
			PatienceMs: cfg.InputLost.Milliseconds(), SteadyMs: cfg.InputSteady.Milliseconds(), SlateMs: cfg.SlateFor.Milliseconds(),
		},
		FrameRate: ch.encoding.frameRate, WholeSegments: ch.encoding.passThrough, Slate: slate, Logger: ch.logger, Now: time.Now,
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
		Channel: ch.name, Ladder: ch.encoding.ladder, FrameRate: ch.encoding.frameRate, Audio: e.Sound.AAC, Opus: e.Sound.Opus, FirstPTS: e.FirstPTS, ArrivedMs: e.EpochMs,
		After: max(0, ch.store.Signed()), OnSegment: ch.publish, Logger: ch.logger,
		PassThrough: ch.encoding.passThrough, DropRungs: ch.encoding.dropRungs, OnStatus: ch.encoder.observe,
		OnRungs: func(_ string, names []string) { ch.store.Offer(names, nowMs()) },
	}
	if cfg.LowLatency {
		encoding.OnPart = ch.publishPart
	}
	s, err := transcode.Start(ctx, encoding)
	if err != nil {
		return nil, err // not a session that is nil
	}
	return session{s, ch}, nil
}

// session is a transcoding session that says when it has ended.
type session struct {
	*transcode.Session
	ch *channel
}

// Close implements playout.Encoder.
func (s session) Close() error {
	err := s.Session.Close()
	s.ch.encoder.ended()
	return err
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

// publish is called for each segment that leaves the encoder.
func (ch *channel) publish(_ string, segment cmaf.Segment) {
	segment.Slate = ch.playout.Shown(segment.StartMs, segment.StartMs+segment.DurationMs)
	ch.add(segment)
}

// add publishes a segment. One that cannot be published leaves a gap; the next one is tried anew, because a full disk or a clock that
// was set may be mended in the meantime.
func (ch *channel) add(segment cmaf.Segment) {
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
