package swarm

import (
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slipstream/tracker/announce"
)

// model is what the viewers know: it applies actions as clients would, and judges the swarm by them.
type model struct {
	t       rapid.TB
	swarm   *Swarm
	room    map[uint64]string
	edges   map[[2]uint64]bool // introduced and not parted by a report
	never   map[[2]uint64]bool // parted over evidence
	duties  map[uint64][]announce.Share
	reports map[uint64]Report
	expels  map[uint64]bool
	caps    map[uint64]int64 // on uploads, as told
}

func newModel(t rapid.TB, cfg Config) *model {
	return &model{
		t: t, swarm: New(cfg), room: map[uint64]string{}, edges: map[[2]uint64]bool{}, never: map[[2]uint64]bool{},
		duties: map[uint64][]announce.Share{}, reports: map[uint64]Report{}, expels: map[uint64]bool{}, caps: map[uint64]int64{},
	}
}

func pair(a, b uint64) [2]uint64 { return [2]uint64{min(a, b), max(a, b)} }

func (m *model) handle(nowMs int64, ev Event) []Action {
	switch ev := ev.(type) {
	case Join:
		m.room[ev.Viewer] = ev.Room
		m.reports[ev.Viewer] = Report{Renditions: ev.Renditions, NoUpload: ev.NoUpload}
	case Leave:
		delete(m.room, ev.Viewer)
		delete(m.duties, ev.Viewer)
		delete(m.reports, ev.Viewer)
		delete(m.caps, ev.Viewer)
	case Report:
		m.reports[ev.Viewer] = ev
		for _, d := range ev.Dropped {
			if d.Reason.Evidence() && m.edges[pair(ev.Viewer, d.Viewer)] {
				m.never[pair(ev.Viewer, d.Viewer)] = true
			}
			delete(m.edges, pair(ev.Viewer, d.Viewer))
		}
	}
	actions := slices.Clone(m.swarm.Handle(nowMs, ev))
	m.syncInferred(ev, actions)
	for _, a := range actions {
		m.apply(ev, a)
	}
	m.judge()
	return actions
}

// syncInferred takes over edges that the swarm gave up by inference; nobody is told of those.
func (m *model) syncInferred(ev Event, actions []Action) {
	r, ok := ev.(Report)
	if !ok {
		return
	}
	parted := map[[2]uint64]bool{}
	for _, a := range actions {
		if a, ok := a.(Part); ok {
			parted[pair(a.A, a.B)] = true
		}
	}
	for p := range m.edges {
		if parted[p] {
			continue
		}
		v := m.swarm.viewers.Get(r.Viewer)
		if w := m.swarm.viewers.Get(p[0] + p[1] - r.Viewer); (p[0] == r.Viewer || p[1] == r.Viewer) && !v.knows(w) {
			delete(m.edges, p)
		}
	}
}

func (m *model) apply(ev Event, a Action) {
	switch a := a.(type) {
	case Introduce:
		p := pair(a.A, a.B)
		switch {
		case a.A == a.B:
			m.t.Fatalf("%d was introduced to itself", a.A)
		case m.room[a.A] == "" || m.room[a.A] != m.room[a.B]:
			m.t.Fatalf("%v: not in one room", a)
		case m.edges[p]:
			m.t.Fatalf("%v: they know each other", a)
		case m.swarm.viewers.Get(a.A).rest.resting() || m.swarm.viewers.Get(a.B).rest.resting():
			m.t.Fatalf("%v: one is to be left alone", a)
		case m.never[p]:
			m.t.Fatalf("%v: they parted over evidence", a)
		}
		m.edges[p] = true
	case Part:
		if !m.edges[pair(a.A, a.B)] {
			m.t.Fatalf("%v: they do not know each other", a)
		}
		delete(m.edges, pair(a.A, a.B))
	case Gone:
		left, ok := ev.(Leave)
		if !ok || left.Viewer != a.Neighbour || !m.edges[pair(a.Viewer, a.Neighbour)] {
			m.t.Fatalf("%v in answer to %v", a, ev)
		}
		delete(m.edges, pair(a.Viewer, a.Neighbour))
	case Duty:
		if m.room[a.Viewer] == "" {
			m.t.Fatalf("%v: that viewer is not here", a)
		}
		if slices.Equal(m.duties[a.Viewer], a.Duties) {
			m.t.Fatalf("%v: it knows that already", a)
		}
		if _, err := announce.Encode(announce.Duty{Duties: a.Duties}); err != nil {
			m.t.Fatal(err)
		}
		m.duties[a.Viewer] = a.Duties
	case Cap:
		if m.room[a.Viewer] == "" || m.swarm.viewers.Get(a.Viewer).seeder || m.caps[a.Viewer] == a.UploadBps || a.UploadBps < 0 {
			m.t.Fatalf("%v: it is not here, a seeder, or knows that", a)
		}
		m.caps[a.Viewer] = a.UploadBps
	case Expel:
		if m.expels[a.Viewer] || !m.swarm.viewers.Get(a.Viewer).suspended {
			m.t.Fatalf("%v: twice, or without suspicion", a)
		}
		m.expels[a.Viewer] = true
	}
}

func (m *model) judge() {
	s := m.swarm
	m.judgeCensus()
	if !reflect.DeepEqual(nothing, record{}) {
		m.t.Fatalf("somebody without a record of his own was given one that all share: %+v", nothing)
	}
	m.judgeCrowds()
	degree := map[uint64]int{}
	for p := range m.edges {
		if m.room[p[0]] == "" || m.room[p[1]] == "" {
			m.t.Fatalf("a neighbour of %v left and nobody was told", p)
		}
		degree[p[0]]++
		degree[p[1]]++
	}
	for v := range s.viewers.All() {
		id := v.id
		if most := s.limit(v); degree[id] != len(v.edges) || degree[id] > most && !v.seeder {
			m.t.Fatalf("%d has %d neighbours, the swarm says %d, the limit is %d", id, degree[id], len(v.edges), most)
		}
		for _, e := range v.edges {
			if !slices.ContainsFunc(e.to.edges, func(back edge) bool { return back.to == v }) {
				m.t.Fatalf("%d knows %d, but not the other way round", id, e.to.id)
			}
		}
		if r := v.room; r != nil {
			if r.open.has(v) == (v.suspended || v.rest.resting() || len(v.edges) >= s.limit(v)) {
				m.t.Fatalf("%d with %d neighbours is listed as open: %v", id, len(v.edges), r.open.has(v))
			}
		}
		if len(v.past) > maxPast {
			m.t.Fatalf("%d remembers %d pairs", id, len(v.past))
		}
		if len(v.accusations) > maxPast {
			m.t.Fatalf("%d is accused %d times", id, len(v.accusations))
		}
		if got, bound := v.capBps(), v.channel.capBps; got != m.caps[id] || !v.seeder && bound > 0 && (got == 0 || got > bound) {
			m.t.Fatalf("%d was told to upload at most %d, may %d, and nobody more than %d", id, m.caps[id], got, bound)
		}
	}
	for name, c := range s.channels {
		for from, said := range c.voices.of {
			if len(said) == 0 || len(said) > maxAccused {
				m.t.Fatalf("%v accused %d", from, len(said))
			}
		}
		for i, r := range c.rooms {
			n := r.members.len()
			if n == 0 || n > s.cfg.RoomSize*3/2 || i > 0 && c.rooms[i-1].index >= r.index {
				m.t.Fatalf("room %d of %s has %d members", r.index, name, n)
			}
			m.judgeDuties(r)
		}
	}
	for v := range s.viewers.All() {
		id := v.id
		if got := v.shares(); !slices.Equal(got, m.duties[id]) {
			m.t.Fatalf("%d was told %v and has %v", id, m.duties[id], got)
		}
	}
}

// judgeDuties is the promise of this package: every stripe of everything that is played has exactly as many holders as
// there shall be copies, and nobody has a duty that he cannot do.
func (m *model) judgeDuties(r *room) {
	played := map[string]bool{}
	for _, v := range r.members.items {
		for _, name := range m.reports[v.id].Renditions {
			played[name] = true
		}
	}
	for _, d := range r.deals {
		if !played[d.rendition] {
			m.t.Fatalf("nobody plays %s, but it is dealt", d.rendition)
		}
		delete(played, d.rendition)
		m.judgeDeal(d)
	}
	if len(played) > 0 {
		m.t.Fatalf("%v are played and not dealt", played)
	}
}

func (m *model) judgeDeal(d *deal) {
	able := 0
	for _, v := range append(slices.Clone(d.room.members.items), d.room.channel.seeders.items...) {
		rep, mask := m.reports[v.id], d.masks[v.id]
		can := rep.Ready && !rep.NoUpload && !v.suspended && !v.rest.resting() && (v.seeder || slices.Contains(rep.Renditions, d.rendition)) &&
			(v.strength() == 0 || v.strength() >= d.need)
		if can {
			able++
		} else if mask != 0 {
			m.t.Fatalf("%d holds %s but cannot", v.id, d.rendition)
		}
		if bits.OnesCount16(mask) > v.chances() && len(d.ranked) >= announce.Stripes {
			m.t.Fatalf("%d holds %016b of %s", v.id, mask, d.rendition)
		}
		if len(d.ranked) < announce.Stripes && !contiguous(mask) {
			m.t.Fatalf("%d holds %016b of %s, which is not one block", v.id, mask, d.rendition)
		}
	}
	if most := max(1, able/16); d.now > most || d.now < 1 || m.swarm.cfg.Copies > 0 && d.now != min(m.swarm.cfg.Copies, most) {
		m.t.Fatalf("%s has %d copies among %d who are able", d.rendition, d.now, able)
	}
	for i := range announce.Stripes {
		n := 0
		for _, v := range d.holders {
			n += int(v.stripes >> i & 1)
		}
		if want := min(d.now, able); n != want {
			m.t.Fatalf("stripe %d of %s has %d holders, want %d; %d are able", i, d.rendition, n, want, able)
		}
	}
	if len(d.holders) != len(d.masks) {
		m.t.Fatalf("%d holders have %d masks", len(d.holders), len(d.masks))
	}
}

// contiguous tells whether the ones of a mask are one block on a circle.
func contiguous(mask uint16) bool {
	return bits.OnesCount16(mask^bits.RotateLeft16(mask, 1)) <= 2
}

var reasons = []announce.Reason{announce.Unreachable, announce.Lost, announce.Full, announce.Stalled, announce.BadLeaf, announce.Liar, "news"}

// drawEvent makes any event that a tracker might pass on, nonsense included.
func drawEvent(t *rapid.T, next *uint64) Event {
	anyID := rapid.Uint64Range(1, max(1, *next))
	names := rapid.SampledFrom([][]string{{"360p"}, {"360p"}, {"180p"}, {"360p", "180p"}, {"720p", "360p"}, {}})
	switch k := rapid.IntRange(0, 9).Draw(t, "event"); {
	case k <= 3:
		*next++
		role := announce.Viewer
		if rapid.IntRange(0, 9).Draw(t, "role") == 0 {
			role = announce.Seeder
		}
		return Join{
			Room: rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "room"), Viewer: *next, Role: role,
			SubnetKey: rapid.Uint64Range(0, 3).Draw(t, "subnet"), ISPKey: rapid.Uint64Range(0, 2).Draw(t, "isp"),
			Renditions: names.Draw(t, "renditions"), NoUpload: rapid.IntRange(0, 5).Draw(t, "idle") == 0,
			NAT: rapid.SampledFrom([]announce.NAT{"", "", announce.EndpointIndependent, announce.AddressDependent, "news"}).Draw(t, "nat"),
		}
	case k == 4:
		return Leave{Viewer: anyID.Draw(t, "leaver")}
	case k == 5 && rapid.IntRange(0, 3).Draw(t, "bound") == 0:
		return Allow{
			Room:      rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "room"),
			UploadBps: rapid.SampledFrom([]int64{0, 1, 800_000, 5_000_000, 1_000_000_000_000}).Draw(t, "most"),
		}
	case k == 5:
		return Tick{}
	}
	r := Report{
		Viewer: anyID.Draw(t, "reporter"), Ready: rapid.IntRange(0, 3).Draw(t, "ready") > 0,
		Neighbours: rapid.IntRange(0, 12).Draw(t, "neighbours"), Renditions: names.Draw(t, "renditions"),
		UplinkBps:  rapid.SampledFrom([]int64{0, 100_000, 500_000, 3_000_000, 50_000_000, announce.MaxInteger}).Draw(t, "uplink"),
		NoUpload:   rapid.IntRange(0, 5).Draw(t, "idle") == 0,
		MediaBytes: rapid.SampledFrom([]int64{0, 1 << 20, 10 << 20, announce.MaxInteger}).Draw(t, "media"),
		Rescues:    rapid.SampledFrom([]int64{0, 20, announce.MaxInteger}).Draw(t, "rescues"),
		StallMs:    rapid.SampledFrom([]int64{0, 0, 3000, announce.MaxInteger}).Draw(t, "stalls"),
		Uploaded:   rapid.SampledFrom([]int64{0, 1 << 20, 10 << 20, announce.MaxInteger}).Draw(t, "uploaded"),
	}
	for range rapid.IntRange(0, 2).Draw(t, "round trips") {
		r.RTTs = append(r.RTTs, RTT{Viewer: anyID.Draw(t, "measured"), Ms: rapid.SampledFrom([]int64{0, 20, 500, 60_000}).Draw(t, "ms")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "drops") {
		r.Dropped = append(r.Dropped, Drop{Viewer: anyID.Draw(t, "dropped"), Reason: rapid.SampledFrom(reasons).Draw(t, "reason")})
	}
	return r
}

func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Seed: rapid.Uint32().Draw(t, "seed"), Copies: rapid.IntRange(0, 3).Draw(t, "copies")}
		if rapid.Bool().Draw(t, "tight") {
			cfg.Degree, cfg.MaxDegree, cfg.SeederDegree, cfg.RoomSize = 3, 4, 6, 8
		}
		m, twin := newModel(t, cfg), New(cfg)
		nowMs, next := int64(1_700_000_000_000), uint64(0)
		for range rapid.IntRange(1, 120).Draw(t, "events") {
			nowMs += rapid.Int64Range(0, 15_000).Draw(t, "pause")
			ev := drawEvent(t, &next)
			if !known(m, ev) {
				if got := m.swarm.Handle(nowMs, ev); len(got) != 0 {
					t.Fatalf("%v about nobody gave %v", ev, got)
				}
				twin.Handle(nowMs, ev)
				continue
			}
			got := m.handle(nowMs, ev)
			if again := twin.Handle(nowMs, ev); fmt.Sprint(got) != fmt.Sprint(again) {
				t.Fatalf("the same events gave %v and %v", got, again)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(m.room)) {
			m.handle(nowMs, Leave{Viewer: id})
		}
		if s := m.swarm; len(s.channels)+len(s.order)+s.viewers.Len() != 0 {
			t.Fatalf("everybody left, but %d channels and %d viewers remain", len(s.channels), s.viewers.Len())
		}
	})
}

func known(m *model, ev Event) bool {
	switch ev := ev.(type) {
	case Leave:
		return m.room[ev.Viewer] != ""
	case Report:
		return m.room[ev.Viewer] != ""
	}
	return true
}
