package cmaf

import (
	"errors"
	"fmt"
	"slices"
)

// slackMs is how far the last picture of a stream may reach beyond the boundary, less than a picture lasts: its duration is what the encoder
// guesses, and timestamps may be rounded to milliseconds.
const slackMs = 5

// A Cutter cuts the output of one run of the encoder for one rendition. After an error
// it returns that error for ever: the run has to be ended.
type Cutter struct {
	rendition string
	stream    stream

	ftyp    []byte
	init    *initSection
	initRaw []byte

	head     []byte   // boxes that belong to the next fragment: styp, prft, emsg, its moof
	fragment fragment // what that moof says
	hasMoof  bool

	open    *Segment // the segment that is being filled
	parts   int      // how many parts of it were returned
	partEnd int      // how many of its bytes they hold
	openEnd uint64   // where its video ends so far, in the video's timescale
	lastEnd uint64   // where the video of all segments ends so far
	cut     bool     // a segment was returned before
}

// NewCutter makes a Cutter for the rendition of that name.
func NewCutter(rendition string) *Cutter { return &Cutter{rendition: rendition} }

// Write takes the next bytes of the stream and returns the parts and segments that they
// complete. It keeps no reference to p. Some may be returned together with an error: they
// were complete before the bad bytes.
func (c *Cutter) Write(p []byte) ([]Output, error) { return c.stream.write(p, c.take) }

// Close returns the segment that was being filled when the stream ended: a partial one.
// Bytes of a fragment that is not complete are dropped.
func (c *Cutter) Close() []Output {
	c.stream.close()
	return c.finish()
}

func (c *Cutter) take(name string, box []byte) ([]Output, error) {
	switch name {
	case "ftyp":
		if c.init != nil {
			return nil, errors.New("a second ftyp box: one run of the encoder has one init section")
		}
		c.ftyp = append([]byte(nil), box...)
	case "moov":
		return nil, c.takeInit(box)
	case "styp", "prft", "emsg":
		return nil, c.addHead(box)
	case "moof":
		return nil, c.takeMoof(box)
	case "mdat":
		return c.takeMdat(box)
	}
	// The rest (sidx, free, mfra …) is about positions in a file, and there is no file.
	return nil, nil
}

func (c *Cutter) takeInit(box []byte) (err error) {
	switch {
	case c.init != nil:
		return errors.New("a second moov box: one run of the encoder has one init section")
	case c.ftyp == nil:
		return errors.New("the stream does not begin with an ftyp box")
	}
	if c.init, err = parseInit(box); err != nil {
		return err
	}
	c.initRaw = append(append([]byte(nil), c.ftyp...), box...)
	return nil
}

func (c *Cutter) addHead(box []byte) error {
	if len(c.head)+len(box) > maxHeaderSize {
		return fmt.Errorf("more than %d bytes precede a fragment", maxHeaderSize)
	}
	c.head = append(c.head, box...)
	return nil
}

func (c *Cutter) takeMoof(box []byte) (err error) {
	switch {
	case c.init == nil:
		return ErrNoInit
	case c.hasMoof:
		return errors.New("a fragment has a moof box but no mdat box")
	}
	if c.fragment, err = parseFragment(box, c.init); err != nil {
		return err
	}
	c.hasMoof = true
	return c.addHead(box)
}

// takeMdat completes a fragment: it goes to the open segment, or opens the next one.
func (c *Cutter) takeMdat(mdat []byte) ([]Output, error) {
	if !c.hasMoof {
		return nil, errors.New("media data (mdat) came without its moof box")
	}
	c.hasMoof = false
	f := c.fragment
	if !f.video {
		return nil, c.takeSound(mdat)
	}
	if f.start < c.lastEnd {
		return nil, fmt.Errorf("time went backwards: a fragment starts at %d ms, the one before ended at %d ms", c.init.ms(f.start), c.init.ms(c.lastEnd))
	}
	number := f.start / c.init.segmentTicks
	boundary := (number + 1) * c.init.segmentTicks
	if over := int64(f.end - boundary); over > 0 && c.init.ms(uint64(over)) < slackMs {
		f.end = boundary // what comes before a picture that is missing is said to last for as long as usual
	}
	if f.end > boundary {
		return nil, fmt.Errorf("the fragment from %d ms to %d ms runs over the boundary of segment %d: the encoder set no key frame there", c.init.ms(f.start), c.init.ms(f.end), number+1)
	}
	var done []Output
	if c.open != nil && int64(number) != c.open.Number {
		done = c.finish() // frames are missing at its end: the grid is kept, not the duration
	}
	if c.open == nil {
		if !f.keyframe {
			return done, fmt.Errorf("segment %d does not start with a key frame", number)
		}
		c.begin(f)
	}
	if err := c.append(mdat); err != nil {
		return done, err
	}
	done = append(done, c.part(f))
	c.openEnd, c.lastEnd = f.end, f.end
	if f.end == boundary {
		done = append(done, c.finish()...)
	}
	return done, nil
}

// takeSound files a fragment without video: with the open segment, or else ahead of the
// next one, because its predecessor has already been given away.
func (c *Cutter) takeSound(mdat []byte) error {
	if c.open != nil {
		return c.append(mdat)
	}
	return c.addHead(mdat)
}

func (c *Cutter) begin(f fragment) {
	video := &c.init.video
	if video.FrameRate == 0 { // measured once, so that all segments of a run agree
		video.FrameRate = float64(c.init.timescale) * float64(f.samples) / float64(f.end-f.start)
	}
	c.open = &Segment{
		Rendition:     c.rendition,
		Number:        int64(f.start / c.init.segmentTicks),
		StartMs:       c.init.ms(f.start),
		Init:          c.initRaw,
		Codecs:        c.init.codecs,
		Width:         video.Width,
		Height:        video.Height,
		FrameRate:     video.FrameRate,
		Discontinuity: !c.cut,
	}
	c.parts, c.partEnd = 0, 0
}

// append moves the pending head and the media data to the open segment.
func (c *Cutter) append(mdat []byte) error {
	if len(c.open.Data)+len(c.head)+len(mdat) > MaxSegmentSize {
		return fmt.Errorf("segment %d is greater than %d bytes", c.open.Number, MaxSegmentSize)
	}
	c.open.Data = append(append(c.open.Data, c.head...), mdat...)
	c.head = c.head[:0]
	return nil
}

// part returns what the open segment grew by since the part before. Rounding is that of the segment, so that the parts
// follow each other without a gap and end where their segment does.
func (c *Cutter) part(f fragment) Output {
	p := &Part{Segment: *c.open, Index: c.parts, Independent: f.keyframe}
	p.StartMs = c.init.ms(f.start)
	p.DurationMs = c.init.ms(f.end) - p.StartMs
	p.Data = slices.Clip(c.open.Data[c.partEnd:])
	c.parts, c.partEnd = c.parts+1, len(c.open.Data)
	return Output{Part: p}
}

// finish closes the open segment, if there is one.
func (c *Cutter) finish() []Output {
	if c.open == nil {
		return nil
	}
	done := *c.open
	done.DurationMs = c.init.ms(c.openEnd) - done.StartMs
	c.open, c.cut = nil, true
	return []Output{{Segment: &done}}
}
