package timeline

import (
	"fmt"
	"time"
)

// An Anchor says which epoch a publisher's timestamp stands for. RTMP timestamps start
// anywhere and carry no UTC, so the anchor is made once, from the first frame of a
// publication, and holds until the publication ends: the distance between two frames is
// always the publisher's, never the network's jitter.
type Anchor struct {
	source Ticks
	epoch  Ticks
}

// NewAnchor ties the timestamp source, counted by the publisher, to the wall clock
// epochMs, quantised down to the frame grid.
func NewAnchor(source time.Duration, epochMs int64, framesPerSecond int) (Anchor, error) {
	if _, err := Number(epochMs); err != nil {
		return Anchor{}, err
	}
	epoch, err := FloorToFrame(FromMs(epochMs), framesPerSecond)
	if err != nil {
		return Anchor{}, err
	}
	return Anchor{source: ticksOf(source), epoch: epoch}, nil
}

// Epoch is the epoch time of the publisher's timestamp source.
func (a Anchor) Epoch(source time.Duration) (Ticks, error) {
	t := a.epoch + ticksOf(source) - a.source
	if t < 0 || t > FromMs(MaxEpochMs) {
		return 0, fmt.Errorf("the publisher's timestamp %v lies outside of the epoch: it is %v from the first one", source, source-durationOf(a.source))
	}
	return t, nil
}

// Source is the publisher's timestamp that stands for epoch: the inverse of Epoch, to
// within a tick.
func (a Anchor) Source(epoch Ticks) time.Duration {
	return durationOf(epoch - a.epoch + a.source)
}

// LatenessMs is how long after its time on the epoch a frame has arrived. It is about 0
// for the first frame, grows by what the network adds, and is negative for a publisher
// that sends faster than real time.
func (a Anchor) LatenessMs(source time.Duration, nowMs int64) int64 {
	return nowMs - (a.epoch + ticksOf(source) - a.source).Ms()
}

// ticksOf converts nanoseconds to ticks, rounded to the nearest: the timestamps of RTMP
// are whole milliseconds, and those are exact. The detour over seconds avoids overflow.
func ticksOf(d time.Duration) Ticks {
	seconds := floorDiv(int64(d), int64(time.Second))
	rest := int64(d) - seconds*int64(time.Second)
	return Ticks(seconds*TicksPerSecond + (rest*TicksPerSecond+int64(time.Second)/2)/int64(time.Second))
}

func durationOf(t Ticks) time.Duration {
	seconds := floorDiv(int64(t), TicksPerSecond)
	rest := int64(t) - seconds*TicksPerSecond
	return time.Duration(seconds)*time.Second + time.Duration(rest)*time.Second/TicksPerSecond
}
