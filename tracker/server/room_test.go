package server

import (
	"net/http"
	"net/netip"
	"reflect"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
)

func TestTwoViewersMeetAndSignal(t *testing.T) {
	h := start(t, nil)
	a := h.join(announce.Viewer)
	b := h.join(announce.Viewer)
	fromB, fromA := receive[announce.Neighbour](b), receive[announce.Neighbour](a)
	if fromA.ID != b.id || fromB.ID != a.id || a.id == b.id {
		t.Fatalf("%s heard of %s, %s heard of %s", a.id, fromA.ID, b.id, fromB.ID)
	}
	if fromA.Offer == fromB.Offer {
		t.Fatalf("both or neither offer: %v, %v", fromA.Offer, fromB.Offer)
	}
	offers, answers := a, b
	if fromB.Offer {
		offers, answers = b, a
	}
	late := announce.Signal{Kind: announce.Candidate, Ufrag: "Ck4x", Candidates: offer().Candidates}
	offers.send(announce.SignalTo{To: answers.id, Signal: offer()})
	offers.send(announce.SignalTo{To: answers.id, Signal: late})
	for _, want := range []announce.Signal{offer(), late} {
		got := receive[announce.SignalFrom](answers)
		if got.From != offers.id || !reflect.DeepEqual(got.Signal, want) {
			t.Fatalf("got %+v, want %+v from %s", got, want, offers.id)
		}
	}
	answer := offer()
	answer.Kind, answer.Setup = announce.Answer, announce.Active
	answers.send(announce.SignalTo{To: offers.id, Signal: answer})
	if got := receive[announce.SignalFrom](offers); got.From != answers.id || !reflect.DeepEqual(got.Signal, answer) {
		t.Fatalf("got %+v", got)
	}
}

func TestWelcomeTellsTheIntervalAndTheRoom(t *testing.T) {
	h := start(t, func(c *Config) { c.ReportMs = 700 })
	h.join(announce.Seeder)
	c := h.connect()
	c.send(announce.Join{Version: 1, Token: h.tokenFor(announce.Viewer), Role: announce.Viewer})
	if w := receive[announce.Welcome](c); w.ReportMs != 700 || w.Viewers != 2 || w.ID == 0 {
		t.Errorf("welcome %+v, want reports every 700 ms and 2 in the room", w)
	}
}

func TestRoomsAreApart(t *testing.T) {
	h := start(t, nil)
	a := h.join(announce.Viewer)
	c := good()
	c.Channel = otherChannel
	b := h.connect()
	b.send(announce.Join{Version: 1, Token: sign(t, c, secret), Role: announce.Viewer})
	if w := receive[announce.Welcome](b); w.Viewers != 1 {
		t.Errorf("the other channel's room has %d viewers", w.Viewers)
	}
	third := h.join(announce.Viewer)
	if n := receive[announce.Neighbour](third); n.ID != a.id {
		t.Errorf("introduced to %s, want %s", n.ID, a.id)
	}
}

// pairUp makes two neighbours that are ready, so that each has half of the duties.
func pairUp(t *testing.T, h *harness) (a, b *client) {
	a, b = h.join(announce.Viewer), h.join(announce.Viewer)
	receive[announce.Neighbour](a)
	receive[announce.Neighbour](b)
	ready := announce.Report{Ready: true, Neighbours: 1, Renditions: []string{"360p"}}
	a.send(ready)
	if d := receive[announce.Duty](a); len(d.Duties) != 1 || d.Duties[0] != (announce.Share{Rendition: "360p", Stripes: 0xffff}) {
		t.Fatalf("the only ready viewer got %+v", d)
	}
	b.send(ready)
	da, db := receive[announce.Duty](a), receive[announce.Duty](b)
	if len(da.Duties) != 1 || len(db.Duties) != 1 || da.Duties[0].Stripes^db.Duties[0].Stripes != 0xffff {
		t.Fatalf("two ready viewers got %+v and %+v, which is not everything once", da, db)
	}
	return a, b
}

func TestWhoVanishesIsGoneAndItsDutiesAreDealtAgain(t *testing.T) {
	for name, vanish := range map[string]func(*client){
		"broken connection": func(c *client) { c.ws.CloseNow() },
		"leave":             func(c *client) { c.send(announce.Leave{}) },
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, nil)
			a, b := pairUp(t, h)
			vanish(b)
			if g := receive[announce.Gone](a); g.ID != b.id {
				t.Errorf("%s is gone, want %s", g.ID, b.id)
			}
			if d := receive[announce.Duty](a); d.Duties[0].Stripes != 0xffff {
				t.Errorf("the one who stayed got %+v, want all stripes", d)
			}
			// A signal that crossed the news is nobody's fault.
			a.send(announce.SignalTo{To: b.id, Signal: offer()})
			c := h.join(announce.Viewer)
			if n := receive[announce.Neighbour](a); n.ID != c.id {
				t.Errorf("introduced to %s, want %s", n.ID, c.id)
			}
		})
	}
}

func TestEvidenceReachesTheSwarm(t *testing.T) {
	h := start(t, nil)
	a, b := pairUp(t, h)
	a.send(announce.Report{Ready: false, Renditions: []string{"360p"}, Dropped: []announce.Drop{{ID: b.id, Reason: announce.BadLeaf}}})
	if d := receive[announce.Duty](a); len(d.Duties) != 0 {
		t.Errorf("a viewer that is not ready has duties: %+v", d)
	}
	if d := receive[announce.Duty](b); d.Duties[0].Stripes != 0xffff {
		t.Errorf("the ready viewer has %+v", d)
	}
}

func TestStatisticsAddUpWhatViewersReport(t *testing.T) {
	h := start(t, nil)
	a, b := pairUp(t, h)
	s := h.join(announce.Seeder)
	report := announce.Report{
		Ready: true, Neighbours: 1, Renditions: []string{"360p"}, HTTPBytes: 1000, P2PBytes: 3000, UploadedBytes: 500, Stalls: 1, StallMs: 70,
		LatencyMs: 4000, Rescues: 2,
	}
	a.send(report)
	report.Neighbours, report.LatencyMs = 2, 6000
	b.send(report)
	s.send(announce.Report{HTTPBytes: 9000, UploadedBytes: 8000})
	got := h.statsUntil(func(s Stats) bool {
		return len(s.Rooms) == 1 && s.Rooms[0].HTTPBytes == 2000 && s.Rooms[0].SeederHTTPBytes == 9000
	})
	want := RoomStats{
		Channel: channel, Viewers: 2, Seeders: 1, Parts: 1, Ready: 2, NeighboursMean: 1.5, Offload: 0.75, HTTPBytes: 2000, P2PBytes: 6000,
		UploadedBytes: 1000, SeederHTTPBytes: 9000, SeederUploadedBytes: 8000, Stalls: 2, StallMs: 140, Rescues: 4, LatencyMsMean: 5000, Pairs: 3, Copies: 1,
	}
	if got.Rooms[0] != want || got.Viewers != 2 || got.Seeders != 1 {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	a.ws.CloseNow()
	b.ws.CloseNow()
	s.ws.CloseNow()
	h.statsUntil(func(s Stats) bool { return len(s.Rooms) == 0 && s.Viewers+s.Seeders == 0 })
}

func TestManyComeAndGoAtOnce(t *testing.T) {
	h := start(t, nil)
	var wg sync.WaitGroup
	for i := range 60 {
		token := h.tokenFor(announce.Viewer)
		c := h.connect()
		wg.Go(func() {
			send := func(m announce.Message) bool {
				b, _ := announce.Encode(m)
				return c.ws.Write(t.Context(), 1, b) == nil
			}
			send(announce.Join{Version: 1, Token: token, Role: announce.Viewer, Renditions: []string{"360p"}})
			for n := 0; n < 4; {
				m, err := c.next()
				if err != nil {
					t.Errorf("viewer %d: %v", i, err)
					return
				}
				switch m := m.(type) {
				case announce.Neighbour:
					n++
					send(announce.SignalTo{To: m.ID, Signal: offer()})
					send(announce.Report{Ready: true, Neighbours: int64(n), Renditions: []string{"360p"}})
				case announce.Error:
					t.Errorf("viewer %d: %s", i, m.Message)
					return
				}
			}
			if i%2 == 0 {
				send(announce.Leave{})
			}
		})
	}
	wg.Wait()
	got := h.statsUntil(func(s Stats) bool { return s.Viewers == 30 })
	if got.Rooms[0].Viewers != 30 {
		t.Errorf("got %+v", got)
	}
}

func TestWhoIsExpelledHearsWhy(t *testing.T) {
	h := start(t, nil)
	bad := h.join(announce.Viewer)
	witnesses := make([]*client, 5)
	for i := range witnesses {
		witnesses[i] = h.join(announce.Viewer)
	}
	for _, witness := range witnesses {
		witness.send(announce.Report{
			Ready: true, Renditions: []string{"360p"}, Dropped: []announce.Drop{{ID: bad.id, Reason: announce.BadLeaf}},
		})
	}
	bad.refused(announce.CodeExpelled, "Several neighbours", websocket.StatusPolicyViolation)
	if s := h.statsUntil(func(s Stats) bool { return s.Viewers == 5 }); s.Rooms[0].Parts != 1 {
		t.Errorf("%+v", s.Rooms)
	}
}

// whereabouts is a Locator that knows everybody.
type whereabouts struct{ asked chan netip.Addr }

func (w whereabouts) Locate(a netip.Addr) (isp, region uint64) {
	w.asked <- a
	return 1, 2
}

func TestEverybodyIsLocated(t *testing.T) {
	where := whereabouts{make(chan netip.Addr, 1)}
	addr := netip.MustParseAddr("203.0.113.7")
	h := start(t, func(c *Config) {
		c.Locator = where
		c.ClientAddr = func(*http.Request) netip.Addr { return addr }
	})
	h.join(announce.Viewer)
	if got := <-where.asked; got != addr {
		t.Errorf("asked for %v, want %v", got, addr)
	}
}
