package cmaf

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"

	"slipstream/origin/timeline"
)

const (
	// soundPartMs is what a part of sound lasts at most: 24 frames at 48 kHz take 512 ms.
	soundPartMs = 513
	// maxFrameMs is longer than any frame of AAC: 128 ms at 8 kHz.
	maxFrameMs = 200
)

// A SoundCutter does for a rendition of sound alone what a Cutter does where there is a picture. No key frames divide such a
// stream, and no multiple of an AAC frame is a segment. So the frames themselves are sorted: each belongs to the segment in which it starts,
// and a segment starts up to one frame after its boundary. At 48 kHz it has 93 or 94 of them, in parts of 24 counted from its
// first, whatever fragments the encoder wrote: they are written anew, from the samples.
type SoundCutter struct {
	rendition string
	stream    stream

	ftyp    []byte
	init    *initSection
	initRaw []byte
	track   *track

	moof    *mp4.MoofBox // the fragment's whose samples come next
	moofLen int

	frames []frame  // of the part that is being filled
	open   *Segment // nil between segments
	parts  int      // how many of it were returned
	begun  bool     // the encoder's first frame has come
	cut    bool     // a segment was returned before
	end    uint64   // of the newest frame, in the track's timescale
}

// frame is a frame of sound.
type frame struct {
	start    uint64
	duration uint32
	data     []byte
}

// NewSoundCutter makes a SoundCutter for the rendition of that name.
func NewSoundCutter(rendition string) *SoundCutter { return &SoundCutter{rendition: rendition} }

// Continue says that what comes was cut before: its first frame is one like all others. What comes out are the same bytes.
func (c *SoundCutter) Continue() { c.begun = true }

// Write is described at Cutter.Write.
func (c *SoundCutter) Write(p []byte) ([]Output, error) { return c.stream.write(p, c.take) }

// Close returns what was being filled when the stream ended.
func (c *SoundCutter) Close() []Output {
	var done []Output
	if c.stream.err == nil {
		done, c.stream.err = c.finish()
	}
	c.stream.close()
	return done
}

func (c *SoundCutter) take(name string, box []byte) ([]Output, error) {
	switch name {
	case "ftyp":
		c.ftyp = bytes.Clone(box)
	case "moov":
		return nil, c.takeInit(box)
	case "moof":
		return nil, c.takeMoof(box)
	case "mdat":
		return c.takeMdat(box)
	}
	return nil, nil // about positions in a file, or about fragments that are written anew
}

func (c *SoundCutter) takeInit(box []byte) (err error) {
	switch {
	case c.init != nil:
		return errors.New("a second moov box: one run of the encoder has one init section")
	case c.ftyp == nil:
		return errors.New("the stream does not begin with an ftyp box")
	}
	raw := append(bytes.Clone(c.ftyp), box...)
	if c.track, err = findTrack(raw, Audio); err != nil {
		return err
	}
	if len(c.track.moov.Traks) != 1 {
		return fmt.Errorf("the init section of sound alone has %d tracks", len(c.track.moov.Traks))
	}
	trak := c.track.moov.Traks[0]
	if trak.Mdia.Mdhd == nil || trak.Mdia.Mdhd.Timescale == 0 {
		return errors.New("a track of the init section lacks its header")
	}
	described, err := describe(trak)
	if err != nil {
		return err
	}
	timescale := uint64(trak.Mdia.Mdhd.Timescale)
	c.init = &initSection{codecs: described.Codec, timescale: timescale, segmentTicks: timescale * timeline.SegmentMs / 1000, trex: c.track.trex}
	c.initRaw = raw
	return nil
}

func (c *SoundCutter) takeMoof(box []byte) error {
	switch {
	case c.init == nil:
		return ErrNoInit
	case c.moof != nil:
		return errors.New("a fragment has a moof box but no mdat box")
	}
	moof, err := decodeMoof(box)
	if err != nil {
		return err
	}
	c.moof, c.moofLen = moof, len(box)
	return nil
}

// takeMdat takes the samples that the moof box before describes.
func (c *SoundCutter) takeMdat(box []byte) (done []Output, err error) {
	if c.moof == nil {
		return nil, errors.New("media data (mdat) came without its moof box")
	}
	moof := c.moof
	c.moof = nil
	for _, traf := range moof.Trafs {
		if traf.Tfhd == nil || traf.Tfhd.TrackID != c.track.id {
			return done, errors.New("a fragment of sound alone is about another track")
		}
		if traf.Tfdt == nil {
			return done, errors.New("a fragment does not say when it starts (no tfdt)")
		}
		start, next := traf.Tfdt.BaseMediaDecodeTime(), int64(-1)
		for _, run := range traf.Truns {
			if run.HasDataOffset() {
				next = int64(run.DataOffset) - int64(c.moofLen)
			}
			run.AddSampleDefaultValues(traf.Tfhd, c.init.trex)
			for _, s := range run.Samples {
				if next < 0 || s.Size == 0 || next+int64(s.Size) > int64(len(box)) {
					return done, fmt.Errorf("a frame of sound of %d bytes is none, or lies outside of its fragment", s.Size)
				}
				outputs, err := c.add(frame{start, s.Dur, box[next : next+int64(s.Size)]})
				done = append(done, outputs...)
				if err != nil {
					return done, err
				}
				start, next = start+uint64(s.Dur), next+int64(s.Size)
			}
		}
	}
	return done, nil
}

// add files a frame with the segment in which it starts.
func (c *SoundCutter) add(f frame) (done []Output, err error) {
	end := f.start + uint64(f.duration)
	if end <= f.start || c.init.ms(end) > timeline.MaxEpochMs || c.init.ms(uint64(f.duration)) > maxFrameMs {
		return nil, fmt.Errorf("a frame of sound from %d to %d in units of 1/%d s is too long, or lies outside of the epoch", f.start, end, c.init.timescale)
	}
	if !c.begun { // only there for the decoder to get going, and from before the first picture
		c.begun = true
		return nil, nil
	}
	if f.start < c.end {
		return nil, fmt.Errorf("time went backwards: a frame of sound starts at %d ms, the one before ended at %d ms", c.init.ms(f.start), c.init.ms(c.end))
	}
	number := int64(f.start / c.init.segmentTicks)
	if c.open != nil && c.open.Number != number {
		done, err = c.finish()
	} else if f.start > c.end && len(c.frames) > 0 { // a fragment has no holes
		done, err = c.part()
	}
	if err != nil {
		return done, err
	}
	if c.open == nil {
		c.open = &Segment{
			Rendition: c.rendition, Number: number, StartMs: c.init.ms(f.start), Init: c.initRaw, Codecs: c.init.codecs, Discontinuity: !c.cut,
		}
		c.parts = 0
	}
	f.data = bytes.Clone(f.data)
	c.frames, c.end = append(c.frames, f), end
	var more []Output
	switch {
	case int64(end/c.init.segmentTicks) > number: // the next frame starts in another segment
		more, err = c.finish()
	case c.init.ms(end-c.frames[0].start+uint64(f.duration)) >= soundPartMs: // one more would be too much
		more, err = c.part()
	}
	return append(done, more...), err
}

// part writes the frames that have come as a fragment.
func (c *SoundCutter) part() ([]Output, error) {
	first := c.frames[0]
	// Numbered by time, so that it is the same for whoever began to listen later.
	fragment, err := mp4.CreateFragment(uint32(first.start/max(uint64(first.duration), 1)), c.track.id)
	if err != nil {
		return nil, fmt.Errorf("a fragment cannot be made: %w", err)
	}
	fragment.EncOptimize = mp4.OptimizeTrun
	for _, f := range c.frames {
		fragment.AddFullSample(mp4.FullSample{
			Sample: mp4.NewSample(mp4.SyncSampleFlags, f.duration, uint32(len(f.data)), 0), DecodeTime: f.start, Data: f.data,
		})
	}
	from := len(c.open.Data)
	b := bytes.NewBuffer(c.open.Data)
	if err := fragment.Encode(b); err != nil {
		return nil, fmt.Errorf("a fragment cannot be written: %w", err)
	}
	if b.Len() > MaxSegmentSize {
		return nil, fmt.Errorf("segment %d is greater than %d bytes", c.open.Number, MaxSegmentSize)
	}
	c.open.Data = b.Bytes()
	p := &Part{Segment: *c.open, Index: c.parts, Independent: true}
	p.StartMs = c.init.ms(first.start)
	p.DurationMs = c.init.ms(c.end) - p.StartMs
	p.Data = slices.Clip(c.open.Data[from:])
	c.parts++
	c.frames = c.frames[:0]
	return []Output{{Part: p}}, nil
}

// finish ends the open segment, if there is one.
func (c *SoundCutter) finish() (done []Output, err error) {
	if c.open == nil {
		return nil, nil
	}
	if len(c.frames) > 0 {
		if done, err = c.part(); err != nil {
			return nil, err
		}
	}
	segment := *c.open
	segment.DurationMs = c.init.ms(c.end) - segment.StartMs
	c.open, c.cut = nil, true
	return append(done, Output{Segment: &segment}), nil
}
