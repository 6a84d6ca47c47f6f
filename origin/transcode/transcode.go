// Package transcode turns one publisher's H.264 and AAC or Opus into the segments of a ladder.
//
// ffmpeg decodes, scales and encodes; everything else happens here, without temporary
// files. A Session takes access units, writes them as MPEG-TS to ffmpeg's standard
// input, reads one fragmented MP4 stream for each rung from descriptors 3 and up, and cuts
// those on the epoch grid (package cmaf). Timestamps are epoch time from end to end:
//
//	publisher's clock ──anchor──▶ epoch ──less a whole number of segments──▶ MPEG-TS
//	──filters: the 1/30 s frame grid──▶ encoder ──-output_ts_offset──▶ tfdt = epoch
//
// so a key frame, and with it a segment, starts on every multiple of 2 s, however and
// whenever ffmpeg is started. Only the first segment of a run may start late and only
// the last may end early.
//
// Pictures may change their size, shape and colour format at any key frame: they are fitted in anew within the same run.
//
// A run is one life of ffmpeg. If ffmpeg dies while the publisher is there, the session
// starts another one, after a pause that grows, on the same anchor; it begins with the
// publisher's next key frame. Segment numbers never repeat and never go back, within a
// session and after the number that the caller says was published before: a segment
// that would is dropped, and the discontinuity is marked on the next.
//
// What a run makes is decided when it begins: rungs that would only be the session's first picture scaled up are left out, sound
// alone is where there is sound, the source's own picture is passed on if that is wanted and it fits (source.go), and
// a machine that is too slow (package load) makes one rung less. A run that ends for such a reason does so on a segment's boundary, and the next
// one is given what has come since the last key frame once more, so that no picture is lost between the two.
//
// Wiring, together with package ingest (origin.Run does this):
//
//	server, err := ingest.Listen(ingest.Config{
//		Address:   ":1935",
//		Authorize: ingest.StreamKeys("live", map[string]string{"demo": key}),
//		Start: func(ctx context.Context, p ingest.Publication) (ingest.Session, error) {
//			return transcode.Start(ctx, transcode.Config{
//				Channel: p.Channel, Audio: p.Audio, Opus: p.Opus, FirstPTS: p.FirstPTS, ArrivedMs: p.ArrivedMs,
//				After: lastNumber(p.Channel), OnSegment: publish, Logger: logger,
//			})
//		},
//		Logger: logger,
//	})
package transcode

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"slipstream/origin/child"
	"slipstream/origin/cmaf"
	"slipstream/origin/load"
	"slipstream/origin/timeline"
)

const (
	defaultFrameRate = 30
	// queueSamples and queueBytes bound what waits for ffmpeg: some four seconds of
	// pictures and sound. That covers ffmpeg's start.
	queueSamples = 400
	queueBytes   = 32 << 20
	// patientSamples are some twenty seconds, where rungs may go: until then nothing is to be lost.
	patientSamples  = 5 * queueSamples
	defaultPatience = 10 * time.Second
	// maxRun is when a run is renewed: 33 bits of MPEG-TS timestamps last for 26.5 hours.
	maxRun = 24 * time.Hour
)

// Config describes a session.
type Config struct {
	Channel   string
	Ladder    []Rung                          // of the largest source; none: DefaultLadder
	FrameRate int                             // of all rungs, a whole number that divides 90000; 0: 30
	Audio     *mpeg4audio.AudioSpecificConfig // nil: the publisher sends no AAC
	Opus      bool                            // it sends Opus instead
	FirstPTS  time.Duration                   // the publisher's timestamp of the first picture …
	ArrivedMs int64                           // … and when it arrived, in epoch milliseconds: the anchor
	After     int64                           // the last number that was published for the channel; 0: none
	// PassThrough passes the publisher's picture on as the rung SourceRung, in the place of those that are as large, as long as its key
	// frames begin segments. For that ArrivedMs should be where one begins.
	PassThrough bool
	// DropRungs lets rungs go, the largest first, when the machine is too slow for them.
	DropRungs bool
	// OnRungs is called with the names of what is made from now on, before anything of it is handed out.
	OnRungs func(channel string, names []string)
	// OnStatus is called about once a second.
	OnStatus func(channel string, status Status)
	// OnSegment is called for every complete segment: of a rendition for one at a time, in the
	// order of numbers, of several renditions at once. ffmpeg waits for it: it must be quick, and it
	// must not call the session.
	OnSegment func(channel string, segment cmaf.Segment)
	// OnPart is likewise called for every part of a segment, before the segment itself; nil: parts are not wanted.
	OnPart func(channel string, part cmaf.Part)
	// Patience is how long ffmpeg may take no input, give no output, or go on after the end
	// of its input, before it is killed; 0: 10 s.
	Patience time.Duration
	Logger   *slog.Logger // best one that names the channel; nil: nothing is logged

	clock func() time.Duration // by which the machine is judged; nil: since the session began. Tests have a fast one
}

// Check says whether ffmpeg is installed: a *child.MissingError if it is not.
func Check() error {
	_, err := child.Look("ffmpeg")
	return err
}

// A Session transcodes one publication. Video, Audio and Close are for one goroutine.
type Session struct {
	cfg    Config
	anchor timeline.Anchor
	out    *output
	queue  chan sample
	queued atomic.Int64 // bytes in queue
	newest atomic.Int64 // the time of the newest picture that came, on the publisher's clock
	lost   atomic.Int64 // samples that were dropped because the queue was full
	done   chan struct{}

	// Of the goroutine live:
	group    group    // what has come since the last key frame
	again    []sample // of it, what the next run has to be given once more
	from     source   // of the first picture
	fault    string   // why the publisher's picture is not passed on
	left     int      // rungs that were left out because the machine is too slow …
	missing  []string // … and their names
	governor load.Governor
	status   Status
	cpu      time.Duration // of the runs that have ended

	// Of the goroutine that calls Video and Audio:
	closed   sync.Once
	skipping bool // until the next key frame, because the queue was full
	skipped  int
}

// Start begins a session. ffmpeg is started with the first key frame and runs until
// Close or the end of the context. A missing ffmpeg is a *child.MissingError.
func Start(ctx context.Context, cfg Config) (*Session, error) {
	if len(cfg.Ladder) == 0 {
		cfg.Ladder = DefaultLadder()
	}
	if cfg.FrameRate == 0 {
		cfg.FrameRate = defaultFrameRate
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	if cfg.clock == nil {
		began := time.Now()
		cfg.clock = func() time.Duration { return time.Since(began) }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(CheckLadder(cfg.Ladder), Check()); err != nil {
		return nil, err
	}
	startMs, err := timeline.RunStartMs(cfg.ArrivedMs, cfg.After)
	if err != nil {
		return nil, err
	}
	if ahead := startMs - cfg.ArrivedMs; ahead > 0 {
		cfg.Logger.Warn("the clock was set back: the timeline goes on ahead of it, because numbers never go back", "aheadMs", ahead)
	}
	anchor, err := timeline.NewAnchor(cfg.FirstPTS, startMs, cfg.FrameRate)
	if err != nil {
		return nil, err
	}
	most := queueSamples
	if cfg.DropRungs {
		most = patientSamples
	}
	s := &Session{
		cfg:      cfg,
		anchor:   anchor,
		out:      newOutput(cfg),
		queue:    make(chan sample, most),
		done:     make(chan struct{}),
		governor: load.Governor{Cores: runtime.NumCPU(), Drops: cfg.DropRungs},
	}
	s.newest.Store(int64(cfg.FirstPTS))
	go s.live(ctx)
	return s, nil
}

// Video takes one access unit, in decoding order: NAL units without start codes, with
// the parameter sets in front of a key frame. The session keeps the slices. An error
// means that the session has ended.
func (s *Session) Video(pts, dts time.Duration, accessUnit [][]byte) error {
	m := sample{video: true, pts: pts, dts: dts, data: accessUnit}
	for _, unit := range accessUnit {
		if len(unit) == 0 {
			return errors.New("an access unit has an empty NAL unit")
		}
		m.keyframe = m.keyframe || h264.NALUType(unit[0]&0x1f) == h264.NALUTypeIDR
	}
	return s.put(m)
}

// Audio takes one AAC access unit or Opus packet. The session keeps the slice.
func (s *Session) Audio(pts time.Duration, accessUnit []byte) error {
	return s.put(sample{pts: pts, dts: pts, data: [][]byte{accessUnit}})
}

// Close ends the publication: what is under way is encoded to its end, its segments,
// the last of them partial, are handed out, and ffmpeg has ended when Close returns.
func (s *Session) Close() error {
	s.closed.Do(func() { close(s.queue) })
	<-s.done
	return nil
}

// put queues a sample. When ffmpeg does not keep up, samples are dropped up to the next
// key frame: a live stream that skips is better than one that falls behind for ever.
func (s *Session) put(m sample) error {
	select {
	case <-s.done:
		return errors.New("the transcoder has ended")
	default:
	}
	for _, unit := range m.data {
		m.size += len(unit)
	}
	if m.size == 0 {
		return nil
	}
	if m.video {
		s.newest.Store(int64(m.pts))
	}
	if s.skipping && m.keyframe && len(s.queue) < cap(s.queue)/2 {
		s.cfg.Logger.Warn("the transcoder keeps up again", "droppedSamples", s.skipped)
		s.skipping, s.skipped = false, 0
	}
	if s.skipping || s.queued.Load()+int64(m.size) > queueBytes {
		s.skip()
		return nil
	}
	select {
	case s.queue <- m:
		s.queued.Add(int64(m.size))
	default:
		s.skip()
	}
	return nil
}

func (s *Session) skip() {
	if !s.skipping {
		s.cfg.Logger.Warn("the transcoder cannot keep up with the publisher: pictures and sound are dropped until it does")
	}
	s.skipping = true
	s.skipped++
	s.lost.Add(1)
}
