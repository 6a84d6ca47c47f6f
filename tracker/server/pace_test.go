package server

import (
	"testing"
	"time"

	"slipstream/tracker/announce"
)

func TestThePaceIsThatOfTheLastSeconds(t *testing.T) {
	var p pace
	start := time.Unix(1_800_000_000, 0)
	for i := range 1000 {
		took := time.Millisecond
		if i%20 == 0 { // one in twenty
			took = 80 * time.Millisecond
		}
		p.joined(start.Add(time.Duration(i)*5*time.Millisecond), took) // for five seconds
	}
	within := func(name string, ms, least float64) {
		t.Helper()
		if ms < least || ms > 1.26*least {
			t.Errorf("%s is %v ms, want %v to a quarter", name, ms, least)
		}
	}
	got := p.lately(start.Add(6 * time.Second))
	if got.Joins != 1000 || got.JoinsPerSecond != 100 {
		t.Errorf("got %+v, want 1,000 joins, which are 100 a second in ten", got)
	}
	within("p50", got.JoinMsP50, 1)
	within("p95", got.JoinMsP95, 1)
	within("p99", got.JoinMsP99, 80)
	if got := p.lately(start.Add(12 * time.Second)); got.JoinsPerSecond != 60 {
		t.Errorf("two of the five seconds are too old, but %v joined a second", got.JoinsPerSecond)
	}
	if got := p.lately(start.Add(time.Hour)); got != (Pace{Joins: 1000}) {
		t.Errorf("an hour later it is %+v", got)
	}
}

func TestEveryWaitHasAClass(t *testing.T) {
	last := 0
	for took := -time.Second; took < 10*time.Minute; took += took/50 + max(0, -2*took) + 1 {
		class := waitClass(took)
		if class < last || class >= waitClasses || class < waitClasses-1 && took > classEnds(class) {
			t.Fatalf("%v is in class %d, after %d", took, class, last)
		}
		last = class
	}
	if last != waitClasses-1 {
		t.Errorf("ten minutes are in class %d", last)
	}
}

// TestStallsAreBelievedWithinTheTimeThereWas has viewers report over a clock that the test moves.
func TestStallsAreBelievedWithinTheTimeThereWas(t *testing.T) {
	h := openHall(t, 1)
	honest, liar, idle := h.enter(announce.Viewer, 3), h.enter(announce.Viewer, 3), h.enter(announce.Viewer, 4)
	say := func(conn ConnID, bytes, stallMs int64) {
		h.seats[conn].Report(announce.Report{Ready: true, Renditions: []string{"360p"}, HTTPBytes: bytes, StallMs: stallMs})
	}
	say(honest, 1000, 70_000) // from before it came here
	say(liar, 1000, 0)
	say(idle, 0, 0)
	h.settle()
	h.nowMs.Add(10_000)
	say(honest, 2000, 71_000)
	say(liar, 2000, announce.MaxInteger)
	say(idle, 0, 5_000)
	room := h.settle().Rooms[0]
	if want := 11. / 20; room.StallRatio != want {
		t.Errorf("stalled for %v of the time, want %v: one second of ten, all ten, and nothing of who plays nothing", room.StallRatio, want)
	}
	if room.Pairs != 3 || room.SameISP != 1./3 {
		t.Errorf("%d pairs, %v in one ISP, want a third of three", room.Pairs, room.SameISP)
	}
}

func TestJoinsAreTimedOnce(t *testing.T) {
	h := openHall(t, 2)
	h.enter(announce.Viewer, 0)
	h.enter(announce.Seeder, 0)
	h.settle()
	h.nowMs.Add(1000)
	if p := h.pace.lately(h.cfg.Now()); p.Joins != 2 || p.JoinsPerSecond != 0.2 || p.JoinMsP99 == 0 {
		t.Errorf("got %+v, want two joins", p)
	}
}

func TestRejectsAreCountedByReason(t *testing.T) {
	h := start(t, nil)
	if _, err := h.dialStatus(showing("not.a.token")); err != nil {
		t.Fatal(err)
	}
	c := h.connect()
	c.sendText("hello")
	c.next()
	s := h.statsUntil(func(s Stats) bool { return len(s.Rejects) == 2 })
	if s.Rejects[announce.CodeTokenInvalid] != 1 || s.Rejects[announce.CodeMalformed] != 1 {
		t.Errorf("got %v", s.Rejects)
	}
}

func TestAFullTrackerIsNotReady(t *testing.T) {
	h := start(t, func(c *Config) { c.Limits.Connections = 1 })
	if why := h.server.Unready(); len(why) != 0 {
		t.Errorf("an empty one says %v", why)
	}
	h.join(announce.Viewer)
	if why := h.server.Unready(); len(why) != 1 || why[0].Code != "full" {
		t.Errorf("a full one says %v", why)
	}
	h.server.Close()
	if why := h.server.Unready(); len(why) == 0 || why[0].Code != "stopping" {
		t.Errorf("one that has stopped says %v", why)
	}
}
