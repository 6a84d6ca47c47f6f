// Package timeline is the arithmetic that ties a live stream to wall-clock time.
//
// Slipstream names a segment by the time it covers: number = floor(UTC / 2 s). Two
// origins that hear the same encoder therefore name every segment alike, a restarted
// origin goes on where the clock stands, and a player can compute which segment is on
// air without asking. For this to work three things must hold, and each has its place
// here:
//
//   - numbers and their boundaries (Number, StartMs);
//   - the frame grid: a run of the encoder starts on a multiple of the frame duration
//     counted from the epoch, so that, at an integer frame rate, some frame starts
//     exactly on every segment boundary (FloorToFrame);
//   - the anchor: RTMP carries no UTC, so the first frame's arrival fixes, once, which
//     epoch its timestamp stands for (Anchor), and Drift notices when the publisher's
//     clock has run so far from ours that a new anchor is due.
//
// The package is a core: no I/O and no clock. Milliseconds are int64 since the Unix
// epoch. Finer times are Ticks of 90 kHz, MPEG-TS's own unit, in which a frame at 24,
// 25, 30, 50 or 60 frames a second is a whole number.
package timeline

import "fmt"

const (
	// SegmentMs is the duration of a segment in milliseconds.
	SegmentMs = 2000
	// MaxEpochMs is the greatest time that is accepted: integers stay below 2^53 so
	// that a JavaScript number holds them exactly.
	MaxEpochMs = 1<<53 - 1
	// TicksPerSecond is the resolution of Ticks (ISO/IEC 13818-1, 2.4.3.7).
	TicksPerSecond = 90_000

	ticksPerMs = TicksPerSecond / 1000
)

// Ticks is a time, or a distance in time, in units of 1/90000 s. Times count from the
// Unix epoch.
type Ticks int64

// FromMs converts milliseconds to ticks, exactly. It is meant for times that Number accepts.
func FromMs(ms int64) Ticks { return Ticks(ms * ticksPerMs) }

// Ms is t in milliseconds, rounded down.
func (t Ticks) Ms() int64 { return floorDiv(int64(t), ticksPerMs) }

// Number is the number of the segment that covers epochMs.
func Number(epochMs int64) (int64, error) {
	if epochMs < 0 || epochMs > MaxEpochMs {
		return 0, fmt.Errorf("the time %d ms is outside of 0 to 2^53-1 ms since the epoch", epochMs)
	}
	return epochMs / SegmentMs, nil
}

// StartMs is the epoch time at which segment number begins. It ends where the next begins.
func StartMs(number int64) (int64, error) {
	if number < 0 || number > MaxEpochMs/SegmentMs {
		return 0, fmt.Errorf("the segment number %d is outside of 0 to %d", number, int64(MaxEpochMs/SegmentMs))
	}
	return number * SegmentMs, nil
}

// FrameTicks is the duration of a frame at an integer frame rate. Rates that do not
// divide 90000 are refused: their frames would drift off the segment grid.
func FrameTicks(framesPerSecond int) (Ticks, error) {
	if framesPerSecond < 1 || framesPerSecond > 120 || TicksPerSecond%framesPerSecond != 0 {
		return 0, fmt.Errorf("the frame rate %d does not fit the epoch grid: use a whole number up to 120 that divides 90000, such as 25, 30, 50 or 60", framesPerSecond)
	}
	return Ticks(TicksPerSecond / framesPerSecond), nil
}

// FloorToFrame moves t back to the frame grid, which has a frame at the epoch itself.
func FloorToFrame(t Ticks, framesPerSecond int) (Ticks, error) {
	frame, err := FrameTicks(framesPerSecond)
	if err != nil {
		return 0, err
	}
	return Ticks(floorDiv(int64(t), int64(frame))) * frame, nil
}

// RunStartMs is the epoch at which a new run of the encoder begins, given the number of
// the last published segment (negative: none). Normally that is now, and a run that
// begins inside of the last published number has its first, partial segment dropped.
// Only when our clock has been set back by more does the run begin later than now,
// because a number must never be used twice, and silence for as long as the clock was
// set back would be worse than a timeline that is ahead.
func RunStartMs(nowMs, lastNumber int64) (int64, error) {
	number, err := Number(nowMs)
	if err != nil {
		return 0, err
	}
	if number >= lastNumber {
		return nowMs, nil
	}
	return StartMs(lastNumber + 1)
}

// floorDiv divides towards minus infinity: Go's division truncates towards zero, which
// would fold the two intervals around the epoch into one.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
