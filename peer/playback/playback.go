// Package playback is a viewer's playhead without a screen: when it starts, when
// it stalls, how far behind live it is. It is pure; the Go viewer plays in real
// time with it.
//
// All times are epoch milliseconds. Media time is epoch time too, because the
// origin numbers and stamps segments by UTC.
package playback

// Playhead follows one stream, live or recorded. The zero value is unusable; see New.
type Playhead struct {
	joinedMs   int64
	startMs    int64 // media time of the first picture
	positionMs int64 // media time of the picture now shown
	lastMs     int64 // wall clock of the last Advance
	endMs      int64 // media time at which a recording ends, 0 while there is more to come
	state      State
	started    bool
	startupMs  int64
	stalls     int64
	stallMs    int64
	latencyMax int64
	latencySum int64
	latencyObs int64
}

// State is what the viewer sees.
type State string

const (
	Starting State = "starting" // nothing shown yet
	Playing  State = "playing"
	Stalled  State = "stalled" // the picture stands: the next one is not there
	Ended    State = "ended"   // the last one was shown
)

// ResumeMs is how much must be buffered before a stalled player goes on, as
// players do so as not to stutter.
const ResumeMs = 100

// New returns a playhead that will start at media time startMs as soon as that
// is buffered; the viewer asked at wall clock joinedMs.
func New(joinedMs, startMs int64) *Playhead {
	return &Playhead{joinedMs: joinedMs, startMs: startMs, positionMs: startMs, lastMs: joinedMs, state: Starting}
}

// Advance plays until nowMs with media buffered without a hole from the playhead
// to bufferedMs. Call it often: what it cannot see is what happened in between.
func (p *Playhead) Advance(nowMs, bufferedMs int64) {
	elapsed := nowMs - p.lastMs
	if elapsed < 0 {
		return
	}
	p.lastMs = nowMs
	switch p.state {
	case Starting:
		if bufferedMs > p.positionMs {
			p.state = Playing
			if !p.started {
				p.started, p.startupMs = true, nowMs-p.joinedMs
			}
		}
	case Playing:
		played := min(elapsed, max(bufferedMs-p.positionMs, 0))
		p.positionMs += played
		if p.endMs > 0 && p.positionMs >= p.endMs {
			p.state = Ended
		} else if played < elapsed {
			p.state = Stalled
			p.stalls++
			p.stallMs += elapsed - played
		}
	case Stalled:
		p.stallMs += elapsed
		if bufferedMs >= p.positionMs+ResumeMs {
			p.state = Playing
		}
	}
	if p.state != Starting && p.endMs == 0 {
		latency := p.LatencyMs(nowMs)
		p.latencyMax = max(p.latencyMax, latency)
		p.latencySum += latency
		p.latencyObs++
	}
}

// JumpTo moves the playhead over a gap in the stream, which is nobody's stall.
func (p *Playhead) JumpTo(mediaMs int64) {
	if mediaMs > p.positionMs {
		p.positionMs = mediaMs
	}
}

// SeekTo goes to another place of a recording. What follows is a start, not a stall.
func (p *Playhead) SeekTo(mediaMs int64) {
	p.positionMs, p.state = mediaMs, Starting
}

// EndAt says where a recording, or a broadcast that is over, ends.
func (p *Playhead) EndAt(mediaMs int64) { p.endMs = mediaMs }

// DueMs is the wall clock at which the picture at mediaMs is to be shown if
// nothing stalls from now on.
func (p *Playhead) DueMs(nowMs, mediaMs int64) int64 { return nowMs + mediaMs - p.positionMs }

// LatencyMs is how far the picture is behind the wall clock.
func (p *Playhead) LatencyMs(nowMs int64) int64 { return nowMs - p.positionMs }

func (p *Playhead) PositionMs() int64 { return p.positionMs }
func (p *Playhead) State() State      { return p.state }

// StartupMs is the time from joining to the first picture, 0 before it.
func (p *Playhead) StartupMs() int64 { return p.startupMs }

// Stalls is how often, StallMs how long in total the picture stood.
func (p *Playhead) Stalls() int64  { return p.stalls }
func (p *Playhead) StallMs() int64 { return p.stallMs }

// LatencyMaxMs and LatencyMeanMs are over all calls of Advance since the start.
func (p *Playhead) LatencyMaxMs() int64 { return p.latencyMax }
func (p *Playhead) LatencyMeanMs() int64 {
	if p.latencyObs == 0 {
		return 0
	}
	return p.latencySum / p.latencyObs
}
