package ingest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"slipstream/origin/child"
	"slipstream/origin/cmaf"
)

// A cmafFeeder brings the tracks of a publication together for the encoder.
type cmafFeeder struct {
	point *point
	queue chan feedItem

	mu      sync.Mutex // held while samples are queued, so that they stay in order
	merge   interleaver
	sources map[cmaf.Kind]string // the first track of each kind
}

// A feedItem is a sample, or what those after it need.
type feedItem struct {
	streams *cmaf.Streams
	sample  cmaf.AccessUnit
}

func newCMAFFeeder(o *point) *cmafFeeder {
	// The queue is short: what waits there has been read already, and the sender should notice when it is too fast.
	return &cmafFeeder{point: o, queue: make(chan feedItem, 16), sources: make(map[cmaf.Kind]string)}
}

// source reports whether a track is the one that its kind is taken from. The caller holds f.mu.
func (f *cmafFeeder) source(kind cmaf.Kind, track string) bool {
	if _, taken := f.sources[kind]; !taken {
		f.sources[kind] = track
	}
	return f.sources[kind] == track
}

// put takes what came of a track. It waits for the encoder.
func (f *cmafFeeder) put(units []cmaf.Unit, track string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range units {
		if u.Init != nil {
			if err := f.announce(*u.Init, track); err != nil {
				return err
			}
		} else if f.source(u.Sample.Kind, track) {
			if err := f.send(f.merge.put(*u.Sample)); err != nil {
				return err
			}
		}
	}
	return nil
}

// announce passes an init section on, behind all that came before it.
func (f *cmafFeeder) announce(streams cmaf.Streams, track string) error {
	if streams.Video != nil {
		if f.source(cmaf.Video, track) {
			f.merge.expect(cmaf.Video)
		} else {
			f.point.logger.Info("one picture is enough: a track is left out", "track", track)
			streams.Video = nil
		}
	}
	if streams.Audio != nil {
		if f.source(cmaf.Audio, track) {
			f.merge.expect(cmaf.Audio)
		} else {
			streams.Audio = nil
		}
	}
	return f.enqueue(feedItem{streams: &streams})
}

func (f *cmafFeeder) send(samples []cmaf.AccessUnit) error {
	for _, s := range samples {
		if err := f.enqueue(feedItem{sample: s}); err != nil {
			return err
		}
	}
	return nil
}

func (f *cmafFeeder) enqueue(item feedItem) error {
	select {
	case f.queue <- item:
		return nil
	case <-f.point.ctx.Done():
		return errors.New("the publication has ended")
	}
}

// run feeds the encoder until the publication ends. It always returns an error, which says how.
func (f *cmafFeeder) run() error {
	o := f.point
	to := o.points.server.feed(o.points.ctx, "CMAF", o.channel, o.logger)
	defer to.hangUp(o.claim)
	for {
		select {
		case item := <-f.queue:
			if err := f.take(to, item); err != nil {
				o.cancel(err)
				return err
			}
			continue
		case <-o.ctx.Done():
		}
		return f.drain(to)
	}
}

// drain feeds what was received before the end, also where picture or sound wait for the other one.
func (f *cmafFeeder) drain(to *feed) error {
	f.mu.Lock() // whoever was waiting for the queue has given up
	defer f.mu.Unlock()
	for len(f.queue) > 0 {
		if err := f.take(to, <-f.queue); err != nil {
			return err
		}
	}
	for _, s := range f.merge.flush() {
		if err := f.take(to, feedItem{sample: s}); err != nil {
			return err
		}
	}
	return context.Cause(f.point.ctx)
}

func (f *cmafFeeder) take(to *feed, item feedItem) error {
	switch {
	case item.streams != nil:
		if item.streams.Video != nil {
			if err := to.setPicture(item.streams.Video); err != nil {
				return err
			}
		}
		if item.streams.Audio != nil {
			return to.setSound(item.streams.Audio)
		}
		return nil
	case item.sample.Kind == cmaf.Audio:
		return to.frame(item.sample.PTS, item.sample.Data)
	}
	units, keyframe, err := accessUnit(item.sample.Data, to.parameters)
	if err != nil || len(units) == 0 {
		return err
	}
	holdBack, err := to.picture(units, keyframe, item.sample.DTS, item.sample.PTS, time.Now())
	if err != nil {
		return err
	}
	if holdBack > 0 {
		child.Sleep(f.point.ctx, holdBack)
	}
	return nil
}

// A demuxedTrack is a track whose samples are encoded again.
type demuxedTrack struct {
	feeder  *cmafFeeder
	name    string
	demuxer cmaf.Demuxer
	about   bodyInfo
	samples int // in this body
	known   atomic.Bool
}

func (t *demuxedTrack) begin(about bodyInfo) error {
	t.demuxer.Restart()
	t.about, t.samples = about, 0
	return nil
}

func (t *demuxedTrack) write(p []byte) error {
	units, err := t.demuxer.Write(p)
	t.known.Store(t.demuxer.Ready())
	for _, u := range units {
		if u.Sample != nil {
			t.samples++
		}
	}
	return errors.Join(t.feeder.put(units, t.name), err)
}

// end: a file with all that it takes is a track as a whole; a segment is not, nor an init section.
func (t *demuxedTrack) end(error) bool { return t.about.withInit && t.samples > 0 }

func (t *demuxedTrack) ready() bool { return t.known.Load() }

// A readyTrack is a rendition that is published as it comes. A body with init section and media is complete in itself: what it
// ends with is the end of a segment, if only of a short one. One with media alone continues the body before it.
type readyTrack struct {
	packaging Packaging
	rendition string
	soundOnly bool

	cutter  cutter // nil: the init section is not known
	init    []byte // nil until something was cut
	about   bodyInfo
	outputs int          // in this body
	held    *cmaf.Output // the counted segment, until it is known whether it shows slate

	number int64 // of the segment that parts were published of
	parts  int   // how many: it may be sent again, from its beginning
}

// A cutter is a cmaf.Cutter or a cmaf.SoundCutter.
type cutter interface {
	Write(p []byte) ([]cmaf.Output, error)
	Close() []cmaf.Output
}

func (t *readyTrack) newCutter(counted bool) cutter {
	if !t.soundOnly {
		return cmaf.NewCutter(t.rendition)
	}
	c := cmaf.NewSoundCutter(t.rendition)
	if counted {
		c.Continue()
	}
	return c
}

// renew makes a cutter that has the init section already, if that is known.
func (t *readyTrack) renew() {
	t.cutter = nil
	if t.init != nil {
		t.cutter = t.newCutter(t.about.counted)
		_, _ = t.cutter.Write(t.init) // as it was taken before
	}
}

func (t *readyTrack) begin(about bodyInfo) error {
	if about.withInit {
		if t.cutter != nil {
			_ = t.emit(t.cutter.Close()) // nobody to tell
		}
		t.cutter, t.init = t.newCutter(about.counted), nil
	}
	t.about, t.outputs, t.held = about, 0, nil
	if t.cutter == nil {
		return cmaf.ErrNoInit
	}
	return nil
}

func (t *readyTrack) write(p []byte) error {
	outputs, err := t.cutter.Write(p)
	return errors.Join(t.emit(outputs), err)
}

func (t *readyTrack) end(err error) bool {
	switch {
	case t.cutter == nil:
	case err != nil: // half a segment is not published
		t.renew()
	case t.about.withInit && t.outputs > 0:
		_ = t.emit(t.cutter.Close())
		t.renew()
	}
	if t.held != nil && err == nil {
		t.held.Segment.Slate = t.about.slate()
		t.packaging.Take(*t.held)
	}
	return false
}

func (t *readyTrack) ready() bool { return true }

func (t *readyTrack) emit(outputs []cmaf.Output) error {
	for _, out := range outputs {
		t.outputs++
		if out.Segment != nil {
			t.init = out.Segment.Init
			if err := t.follows(out.Segment.Number); err != nil {
				return err
			}
			out.Segment.Counted, out.Segment.Discontinuities = t.about.counted, t.about.discontinuities
			if t.about.counted { // it is the only one in its body
				t.held = &out
				continue
			}
		} else {
			t.init = out.Part.Init
			if err := t.follows(out.Part.Number); err != nil {
				return err
			}
			if out.Part.Number == t.number && out.Part.Index < t.parts {
				continue
			}
			out.Part.Counted, out.Part.Discontinuities = t.about.counted, t.about.discontinuities
			t.number, t.parts = out.Part.Number, out.Part.Index+1
		}
		t.packaging.Take(out)
	}
	return nil
}

// follows refuses what is new and has fewer discontinuities before it than what was published: its encoder has lost count.
func (t *readyTrack) follows(number int64) error {
	if !t.about.counted || number <= t.packaging.Newest(t.rendition) {
		return nil
	}
	if before := t.packaging.Discontinuities(t.rendition); t.about.discontinuities < before {
		return answer(http.StatusConflict, "there were %d discontinuities before this segment, not %d: count on from there", before, t.about.discontinuities)
	}
	return nil
}
