package timeline_test

import (
	"math/bits"
	"testing"
	"time"

	"slipstream/origin/timeline"
)

// A day of pictures of each rate that cameras have, as they arrive: stamped with whole milliseconds, as RTMP does it, or with ticks of a
// transport stream. On the grid of the encoder, which takes for each of its pictures the nearest there is, no place stays empty and none
// is taken twice, so each number has all its pictures, at the end of the day as at its beginning.
func TestADayOfPictures(t *testing.T) {
	const day = 24 * 3600
	// The last hours of a leap day, and the first of the day after.
	startMs := time.Date(2028, 2, 29, 13, 0, 0, 123e6, time.UTC).UnixMilli()
	for _, camera := range []struct {
		name              string
		pictures, seconds int64 // so many in so many seconds
		unit              time.Duration
		grid              int
	}{
		{"24 of film", 24, 1, time.Millisecond, 24},
		{"23.976", 24_000, 1001, time.Millisecond, 24},
		{"25", 25, 1, time.Millisecond, 25},
		{"29.97 to 30", 30_000, 1001, time.Millisecond, 30},
		{"29.97 to 25", 30_000, 1001, time.Second / 90_000, 25},
		{"30", 30, 1, time.Millisecond, 30},
		{"50", 50, 1, time.Millisecond, 50},
		{"50 to 25, in ticks", 50, 1, time.Second / 90_000, 25},
		{"59.94", 60_000, 1001, time.Millisecond, 60},
	} {
		const first = 5 * time.Hour // the camera's clock begins anywhere
		anchor, err := timeline.NewAnchor(first, startMs, camera.grid)
		if err != nil {
			t.Fatal(err)
		}
		frame, _ := timeline.FrameTicks(camera.grid)
		begins, _ := anchor.Epoch(first)
		if begins%frame != 0 {
			t.Fatalf("%s: the first picture is not on the grid", camera.name)
		}
		last, lastNumber, inNumber := timeline.Ticks(-1), int64(-1), 0
		whole, next := 0, begins // next is the grid's next place
		for n := int64(0); n*camera.seconds < day*camera.pictures; n++ {
			at := first + nearest(n*camera.seconds, camera.pictures, camera.unit)
			epoch, err := anchor.Epoch(at)
			if err != nil {
				t.Fatal(err)
			}
			if epoch <= last {
				t.Fatalf("%s: picture %d is at %d, after %d", camera.name, n, epoch, last)
			}
			last = epoch
			for next <= epoch+frame/2 { // the places that this picture is the nearest for, as the encoder takes it
				number, err := timeline.Number(next.Ms())
				if err != nil {
					t.Fatal(err)
				}
				if number != lastNumber {
					if lastNumber >= 0 && number != lastNumber+1 {
						t.Fatalf("%s: number %d follows %d", camera.name, number, lastNumber)
					}
					if whole++; whole > 2 && inNumber != 2*camera.grid {
						t.Fatalf("%s: number %d has %d pictures, want %d", camera.name, lastNumber, inNumber, 2*camera.grid)
					}
					if at, _ := timeline.StartMs(number); whole > 1 && timeline.FromMs(at) != next {
						t.Fatalf("%s: number %d begins %d ticks late", camera.name, number, next-timeline.FromMs(at))
					}
					lastNumber, inNumber = number, 0
				}
				inNumber++
				next += frame
			}
		}
		if segments := int64(whole); segments < day/2-2 || segments > day/2+2 {
			t.Errorf("%s: a day has %d numbers", camera.name, segments)
		}
		wantEnd := timeline.FromMs(startMs) + day*timeline.TicksPerSecond
		if off := last - wantEnd; off > 2*frame || off < -3*frame {
			t.Errorf("%s: after a day the last picture is %d ticks off", camera.name, off)
		}
	}
}

// nearest is a/b seconds in whole units.
func nearest(a, b int64, unit time.Duration) time.Duration {
	perSecond := uint64(time.Second / unit)
	hi, lo := bits.Mul64(uint64(a), perSecond)
	lo, carry := bits.Add64(lo, uint64(b)/2, 0)
	units, _ := bits.Div64(hi+carry, lo, uint64(b))
	return time.Duration(units/perSecond)*time.Second + time.Duration(units%perSecond)*time.Second/time.Duration(perSecond)
}

// Numbers count from 1970 in steps of two seconds whatever the calendar does: leap days, years of 365 and 366 days, leap seconds, which Unix
// time does not have.
func TestNumbersAndTheCalendar(t *testing.T) {
	for _, c := range []struct {
		year, month, day int
	}{{1972, 2, 29}, {2000, 2, 29}, {2016, 12, 31}, {2026, 2, 28}, {2028, 2, 28}, {2028, 2, 29}, {2028, 12, 31}, {2038, 1, 19}, {2099, 12, 31}, {2100, 2, 28}, {2106, 2, 7}, {9999, 12, 30}} {
		noon := time.Date(c.year, time.Month(c.month), c.day, 12, 0, 0, 0, time.UTC)
		before, err := timeline.Number(noon.UnixMilli() - 1)
		if err != nil {
			t.Fatal(err)
		}
		for at := noon; at.Before(noon.Add(24 * time.Hour)); at = at.Add(500 * time.Millisecond) {
			number, err := timeline.Number(at.UnixMilli())
			if err != nil {
				t.Fatal(err)
			}
			if boundary := at.Nanosecond() == 0 && at.Second()%2 == 0; number-before != 1 && boundary || number != before && !boundary {
				t.Fatalf("%v has the number %d, half a second before it was %d", at, number, before)
			}
			before = number
		}
	}
}
