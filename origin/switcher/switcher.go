// Package switcher decides which of a channel's inputs feeds its output: the primary, the backup while the primary is lost, slate
// while both are. It is what broadcasters call a switcher, without the pictures: times go in, a decision comes out.
//
//   - An input is lost PatienceMs after its newest picture came or, if that came ahead of its time, was due. The output changes to another input only at a key frame of that
//     one, because a decoder can begin nowhere else.
//   - The primary is returned to when it has been steady, without a pause longer than PatienceMs, for SteadyMs: an input that comes
//     and goes would otherwise take the viewers along each time.
//   - Slate begins when the input is lost and no other one can take its place within two seconds more: an input that is there has a
//     key frame soon. It ends with the first key frame of any input, or after SlateMs.
//   - What an input sends in a hurry after a fault of the network is not live any more. It is let pass by.
//
// The package is a core: no I/O, no goroutine, no clock. Times are milliseconds of a clock that never goes back.
package switcher

const (
	// keyframeMs is how long slate waits for the key frame of an input that is there.
	keyframeMs = 2000
	// timelyMs is how late a picture may be, on its own input's time, to be taken for live.
	timelyMs = 500
	// backlogMs is how long an input that goes on late may be catching up. One that is still late then stays late.
	backlogMs = 3000
)

// A Source is what may feed the output.
type Source int

// The sources, in the order of preference.
const (
	Nothing Source = iota
	Primary
	Backup
	Slate
)

// String is the source in a word, for a log.
func (s Source) String() string {
	if s < Nothing || s > Slate {
		return "unknown"
	}
	return [...]string{"nothing", "primary", "backup", "slate"}[s]
}

// other is the other input.
func (s Source) other() Source { return Primary + Backup - s }

// A Policy says when to change.
type Policy struct {
	PatienceMs int64 // an input without a picture for longer is lost
	SteadyMs   int64 // how long the primary must be back for the output to return to it
	SlateMs    int64 // how long slate is shown at most; 0: never
}

// A Switcher is the state of one channel. The zero value has no policy: use New.
type Switcher struct {
	policy  Policy
	inputs  [Slate]input // by Source; the first is not used
	on      Source
	sinceMs int64 // on has been slate since then
}

type input struct {
	present  bool
	lastMs   int64 // when its newest picture came or is due
	steadyMs int64 // since when they come without a pause
}

// New returns a switcher with nothing on.
func New(p Policy) *Switcher { return &Switcher{policy: p} }

// On is what feeds the output.
func (s *Switcher) On() Source { return s.on }

// Present reports whether an input is there, whether it gives pictures or not.
func (s *Switcher) Present(source Source) bool { return s.inputs[source].present }

// Join says that the primary or the backup is there.
func (s *Switcher) Join(source Source, nowMs int64) {
	s.inputs[source] = input{present: true, lastMs: nowMs, steadyMs: nowMs}
}

// Leave says that an input has gone. It returns what feeds the output from now on.
func (s *Switcher) Leave(source Source, nowMs int64) Source {
	s.inputs[source].present = false
	return s.Tick(nowMs)
}

// A Picture is one of an input's.
type Picture struct {
	Key    bool  // a key frame
	LateMs int64 // how long after its time it came, on its input's own clock; negative: before
}

// Picture takes one of an input that is there, and reports whether it goes to the output.
func (s *Switcher) Picture(source Source, nowMs int64, p Picture) bool {
	in := &s.inputs[source]
	if s.silent(source, nowMs) {
		in.steadyMs = nowMs
	}
	in.lastMs = nowMs + max(0, -p.LateMs)
	if s.on != source && p.Key && s.wants(source, nowMs, p.LateMs) {
		s.on = source
	}
	return s.on == source
}

// wants reports whether the output changes to an input that has a key frame now.
func (s *Switcher) wants(source Source, nowMs, lateMs int64) bool {
	steady := nowMs - s.inputs[source].steadyMs
	switch {
	case s.on == Nothing:
		return true
	case lateMs > timelyMs && steady < backlogMs:
		return false // a backlog
	case s.on == Slate || !s.alive(source.other(), nowMs):
		return true
	}
	return source == Primary && steady >= s.policy.SteadyMs
}

// Tick is to be called several times a second. It returns what feeds the output from now on.
func (s *Switcher) Tick(nowMs int64) Source {
	switch s.on {
	case Primary, Backup:
		s.judge(nowMs)
	case Slate:
		if nowMs-s.sinceMs >= s.policy.SlateMs {
			s.on = Nothing
		}
	}
	return s.on
}

// judge takes an input that is lost off the output.
func (s *Switcher) judge(nowMs int64) {
	if s.policy.SlateMs == 0 {
		if !s.inputs[Primary].present && !s.inputs[Backup].present {
			s.on = Nothing
		}
		return // a last picture that stays is the best there is
	}
	patience := s.policy.PatienceMs
	if s.alive(s.on.other(), nowMs) {
		patience += keyframeMs
	}
	if nowMs-s.inputs[s.on].lastMs > patience {
		s.on, s.sinceMs = Slate, nowMs
	}
}

func (s *Switcher) silent(source Source, nowMs int64) bool {
	return nowMs-s.inputs[source].lastMs > s.policy.PatienceMs
}

func (s *Switcher) alive(source Source, nowMs int64) bool {
	return s.inputs[source].present && !s.silent(source, nowMs)
}
