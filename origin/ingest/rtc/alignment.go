package rtc

import "time"

const (
	pictureRate = 90_000 // ticks a second (RFC 6184)
	soundRate   = 48_000 // (RFC 7587)
	// misaligned is by how much sound must be off to be moved: less is what reports are off themselves.
	misaligned = 10 * time.Millisecond
	// implausible is how much the reports may differ from when things arrive.
	implausible = 2 * time.Second
)

// An alignment puts sound on the clock of the picture. The two timestamps count from anywhere, each for itself. Sender reports (RFC 3550)
// tell the sender's wall clock for each, and with it what belongs together; before there are two, what arrives together does.
type alignment struct {
	picture, sound course
	offset         time.Duration // from the sound's own time to the picture's
	known          bool          // offset is valid
}

// A course is what is known of one stream's clock.
type course struct {
	rate     int64
	time     unwrapper
	at       time.Time // when the last packet came; zero: there was none
	reported bool
	lead     time.Duration // of the stream's time before the sender's wall clock, by the last report
}

func newAlignment() alignment {
	return alignment{picture: course{rate: pictureRate}, sound: course{rate: soundRate}}
}

// seconds converts ticks to time without overflow.
func (c *course) seconds(ticks int64) time.Duration {
	return time.Duration(ticks/c.rate)*time.Second + time.Duration(ticks%c.rate)*time.Second/time.Duration(c.rate)
}

// see notes that something for ticks arrived at now.
func (c *course) see(ticks int64, now time.Time) time.Duration {
	c.time.last, c.time.begun, c.at = ticks, true, now
	return c.seconds(ticks)
}

// report takes a sender report: at the NTP time ntp the stream was at the timestamp. One that comes before its stream says nothing.
func (c *course) report(ntp uint64, timestamp uint32) {
	if c.at.IsZero() {
		return
	}
	wall := time.Duration(ntp>>32)*time.Second + time.Duration((ntp&0xffff_ffff)*uint64(time.Second)>>32)
	c.lead, c.reported = c.seconds(c.time.near(timestamp))-wall, true
}

func (a *alignment) report(stream int, ntp uint64, timestamp uint32) {
	if stream == sounds {
		a.sound.report(ntp, timestamp)
	} else {
		a.picture.report(ntp, timestamp)
	}
}

// pictureTime is the time of a picture.
func (a *alignment) pictureTime(ticks int64, now time.Time) time.Duration {
	return a.picture.see(ticks, now)
}

// soundTime is the time of a packet of sound on the picture's clock. It is false as long as there was no picture.
func (a *alignment) soundTime(ticks int64, now time.Time) (time.Duration, bool) {
	own := a.sound.see(ticks, now)
	if a.picture.at.IsZero() {
		return 0, false
	}
	arrived := a.arrived()
	if !a.known {
		a.offset, a.known = arrived, true
	}
	if a.picture.reported && a.sound.reported {
		told := a.picture.lead - a.sound.lead
		if (told-arrived).Abs() < implausible && (told-a.offset).Abs() > misaligned {
			a.offset = told
		}
	}
	return own + a.offset, true
}

// arrived is the offset by which what arrives together belongs together.
func (a *alignment) arrived() time.Duration {
	since := a.sound.at.Sub(a.picture.at)
	return a.picture.seconds(a.picture.time.last) + since - a.sound.seconds(a.sound.time.last)
}
