package switcher

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var usual = Policy{PatienceMs: 1000, SteadyMs: 10_000, SlateMs: 60_000}

// A stage plays scripts: an input that is on sends 25 pictures a second, each 50th a key frame.
type stage struct {
	*Switcher
	nowMs int64
	sends [Slate]bool
	count [Slate]int
	late  [Slate]int64
	cuts  []string // "at a second: source", for each change
}

func (s *stage) pass(ms int64) {
	const frameMs = 40
	for end := s.nowMs + ms; s.nowMs < end; s.nowMs += frameMs {
		for _, source := range []Source{Primary, Backup} {
			if s.sends[source] {
				before := s.On()
				s.Picture(source, s.nowMs, Picture{Key: s.count[source]%50 == 0, LateMs: s.late[source]})
				s.count[source]++
				s.note(before)
			}
		}
		before := s.On()
		s.Tick(s.nowMs)
		s.note(before)
	}
}

func (s *stage) note(before Source) {
	if on := s.On(); on != before {
		s.cuts = append(s.cuts, fmt.Sprintf("%.2f %v", float64(s.nowMs)/1000, on))
	}
}

func (s *stage) join(source Source) {
	s.Join(source, s.nowMs)
	s.sends[source], s.count[source] = true, 0
}

func (s *stage) leave(source Source) {
	before := s.On()
	s.Leave(source, s.nowMs)
	s.note(before)
	s.sends[source] = false
}

func TestWhatFeedsTheOutput(t *testing.T) {
	without := Policy{PatienceMs: 1000, SteadyMs: 10_000}
	for _, c := range []struct {
		name   string
		policy Policy
		play   func(s *stage)
		want   string
	}{
		{"one input, which leaves", without, func(s *stage) {
			s.join(Primary)
			s.pass(3000)
			s.leave(Primary)
		}, "0.00 primary, 3.00 nothing"},
		{"one input is silent for a while: its last picture stays", without, func(s *stage) {
			s.join(Primary)
			s.pass(3000)
			s.sends[Primary] = false
			s.pass(5000)
			s.sends[Primary] = true
			s.pass(3000)
		}, "0.00 primary"},
		{"slate while it is silent, to its next key frame", usual, func(s *stage) {
			s.join(Primary)
			s.pass(3000)
			s.sends[Primary] = false
			s.pass(5000)
			s.sends[Primary] = true
			s.pass(3000)
		}, "0.00 primary, 4.00 slate, 9.00 primary"},
		{"slate when it has left, but not for a short while", usual, func(s *stage) {
			s.join(Primary)
			s.pass(3000)
			s.leave(Primary)
			s.pass(800)
			s.join(Primary)
			s.pass(1200)
			s.leave(Primary)
			s.pass(5000)
		}, "0.00 primary, 6.00 slate"},
		{"slate is not for ever", usual, func(s *stage) {
			s.join(Primary)
			s.pass(1000)
			s.leave(Primary)
			s.pass(70_000)
			s.join(Primary)
			s.pass(1000)
		}, "0.00 primary, 2.00 slate, 62.00 nothing, 71.00 primary"},
		{"the backup's next key frame, and back when the primary is steady", usual, func(s *stage) {
			s.join(Primary)
			s.join(Backup)
			s.pass(5000)
			s.sends[Primary] = false
			s.pass(5000)
			s.sends[Primary] = true
			s.pass(20_000)
		}, "0.00 primary, 6.00 backup, 21.00 primary"},
		{"a primary that has left is not waited for", without, func(s *stage) {
			s.join(Primary)
			s.join(Backup)
			s.pass(3000)
			s.leave(Primary)
			s.pass(5000)
			s.join(Primary)
			s.pass(14_000)
		}, "0.00 primary, 4.00 backup, 18.00 primary"},
		{"a primary that comes and goes is not returned to", usual, func(s *stage) {
			s.join(Primary)
			s.join(Backup)
			s.pass(3000)
			for range 5 {
				s.sends[Primary] = false
				s.pass(3000)
				s.sends[Primary] = true
				s.pass(9000)
			}
		}, "0.00 primary, 4.00 backup"},
		{"a backup with rare key frames is not waited for for ever", usual, func(s *stage) {
			s.join(Backup)
			s.join(Primary)
			s.Join(Backup, s.nowMs) // forget that it was first
			s.on = Primary
			s.pass(2000)
			s.count[Backup] = 51 // 49 pictures, almost two seconds, to the next
			s.sends[Primary] = false
			s.pass(900)
			s.count[Backup] = 1
			s.pass(200)
			s.count[Backup] = 1
			s.pass(1900)
			s.count[Backup] = 1
			s.pass(4000)
		}, "5.00 slate, 7.00 backup"},
		{"the backup alone, until the primary has been there for a while", without, func(s *stage) {
			s.join(Backup)
			s.pass(2000)
			s.join(Primary)
			s.pass(15_000)
		}, "0.00 backup, 12.00 primary"},
		{"both lost, and slate between", usual, func(s *stage) {
			s.join(Primary)
			s.join(Backup)
			s.pass(2000)
			s.leave(Primary)
			s.leave(Backup)
			s.pass(3000)
			s.join(Backup)
			s.pass(1000)
		}, "0.00 primary, 3.00 slate, 5.00 backup"},
		{"a backlog passes by", usual, func(s *stage) {
			s.join(Primary)
			s.pass(2000)
			s.sends[Primary] = false
			s.pass(4000)
			s.sends[Primary], s.late[Primary], s.count[Primary] = true, 4000, 0
			s.pass(2000)
			s.late[Primary] = 400
			s.pass(2000)
		}, "0.00 primary, 3.00 slate, 8.00 primary"},
		{"who stays late is taken as he is", usual, func(s *stage) {
			s.join(Primary)
			s.pass(2000)
			s.sends[Primary] = false
			s.pass(4000)
			s.sends[Primary], s.late[Primary], s.count[Primary] = true, 4000, 0
			s.pass(6000)
		}, "0.00 primary, 3.00 slate, 10.00 primary"},
		{"segments at once, and then nothing for as long as they last", usual, func(s *stage) {
			s.join(Primary)
			for range 3 {
				s.late[Primary] = -2000
				s.sends[Primary] = true
				s.pass(200)
				s.sends[Primary] = false
				s.pass(2800)
			}
		}, "0.00 primary"},
	} {
		s := &stage{Switcher: New(c.policy)}
		c.play(s)
		if got := strings.Join(s.cuts, ", "); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
}

// Whatever happens: a change to an input is at its key frame and never away from one that is well, but back to the primary; with
// slate something is on from the first picture until slate has been on for its time; and pictures go to the output from one input only.
func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := usual
		if rapid.Bool().Draw(t, "without slate") {
			policy.SlateMs = 0
		}
		s, nowMs := New(policy), int64(0)
		lastMs, steadyMs := map[Source]int64{}, map[Source]int64{}
		slateMs := int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "events") {
			nowMs += rapid.Int64Range(0, 700).Draw(t, "pause")
			source := rapid.SampledFrom([]Source{Primary, Backup}).Draw(t, "source")
			was, present := s.On(), s.Present(source)
			switch event := rapid.SampledFrom([]string{"join", "leave", "picture", "picture", "picture", "tick"}).Draw(t, "event"); {
			case event == "join" && !present:
				s.Join(source, nowMs)
				lastMs[source], steadyMs[source] = nowMs, nowMs
			case event == "leave" && present:
				s.Leave(source, nowMs)
			case event == "picture" && present:
				if nowMs-lastMs[source] > policy.PatienceMs {
					steadyMs[source] = nowMs
				}
				p := Picture{Key: rapid.Bool().Draw(t, "key"), LateMs: rapid.Int64Range(-500, 5000).Draw(t, "late")}
				if fed := s.Picture(source, nowMs, p); fed != (s.On() == source) {
					t.Fatalf("a picture of the %v goes out: %v, while the %v is on", source, fed, s.On())
				}
				if on := s.On(); on != was {
					other := source.other()
					well := was == other && s.Present(other) && nowMs-lastMs[other] <= policy.PatienceMs
					if on != source || !p.Key || well && (source != Primary || nowMs-steadyMs[source] < policy.SteadyMs) {
						t.Fatalf("a picture of the %v (%+v) changes from the %v, which is well: %v, to the %v", source, p, was, well, on)
					}
				}
				lastMs[source] = nowMs + max(0, -p.LateMs)
			default:
				s.Tick(nowMs)
			}
			on := s.On()
			if on == Slate && was != Slate {
				if slateMs = nowMs; nowMs-lastMs[was] <= policy.PatienceMs || policy.SlateMs == 0 {
					t.Fatalf("slate instead of the %v, of which a picture came %d ms ago", was, nowMs-lastMs[was])
				}
			}
			if on == Nothing && was != Nothing {
				anybody := s.Present(Primary) || s.Present(Backup)
				if policy.SlateMs == 0 && anybody || policy.SlateMs > 0 && (was != Slate || nowMs-slateMs < policy.SlateMs) {
					t.Fatalf("nothing is on after the %v", was)
				}
			}
		}
	})
}
