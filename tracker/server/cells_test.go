package server

import (
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipstream/tracker/announce"
)

// notes is a Relay that keeps this node's rooms and writes down what clients are told.
type notes struct {
	mu   sync.Mutex
	told map[ConnID][]announce.Message
}

func (n *notes) Node() NodeID                           { return 7 }
func (n *notes) Start(here Rooms, _ Post) (Rooms, Post) { return here, n }

func (n *notes) Deliver(to Address, frame []byte, end string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m, err := announce.Decode(frame)
	if e, isError := m.(announce.Error); err != nil || isError != (end != "") || isError && e.Code != end {
		panic("a bad delivery: " + string(frame))
	}
	n.told[to.Conn] = append(n.told[to.Conn], m)
}

// of is what one client was told of one type.
func of[T announce.Message](n *notes, conn ConnID) (all []T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.told[conn] {
		if m, ok := m.(T); ok {
			all = append(all, m)
		}
	}
	return all
}

// hall is rooms without connections.
type hall struct {
	t *testing.T
	*Server
	*notes
	nowMs atomic.Int64
	last  ConnID
	seats map[ConnID]Seat
}

func openHall(t *testing.T, cells int) *hall {
	h := &hall{t: t, notes: &notes{told: map[ConnID][]announce.Message{}}, seats: map[ConnID]Seat{}}
	h.nowMs.Store(1_800_000_000_000)
	var err error
	h.Server, err = New(Config{
		Secret: secret, Cells: cells, Relay: h.notes, Now: func() time.Time { return time.UnixMilli(h.nowMs.Load()) }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Limits: Limits{RoomViewers: 100_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// enter brings somebody in, who reports to be ready.
func (h *hall) enter(role announce.Role, isp uint64) ConnID {
	h.t.Helper()
	h.last++
	e := Enter{Channel: channel, Join: announce.Join{Role: role}, ISP: isp}
	report := announce.Report{Ready: true}
	if role == announce.Viewer {
		e.Join.Renditions = []string{"360p"}
		report.Renditions = e.Join.Renditions
	}
	s, refusal := h.local.Enter(Address{7, h.last}, e)
	if refusal != nil {
		h.t.Fatal(refusal.Message)
	}
	s.Report(report)
	h.seats[h.last] = s
	return h.last
}

// settle returns when all cells have done what they were told.
func (h *hall) settle() Stats {
	h.t.Helper()
	counts, ok := h.local.census()
	if !ok {
		h.t.Fatal("the rooms are closed")
	}
	var s Stats
	for _, c := range counts {
		s.Rooms = append(s.Rooms, c.sum())
		s.Viewers += c.Viewers
		s.Seeders += len(c.seeders)
	}
	return s
}

// cellsOf counts viewers by cell.
func (h *hall) cellsOf() (sizes []int) {
	h.local.mu.Lock()
	defer h.local.mu.Unlock()
	return slices.Clone(h.local.channels[channel].viewers)
}

func TestARushUsesAllCellsAndEverybodyMeetsNeighbours(t *testing.T) {
	h := openHall(t, 4)
	seeder := h.enter(announce.Seeder, 0)
	for range 8_000 {
		h.enter(announce.Viewer, 0)
	}
	if s := h.settle(); s.Viewers != 8_000 || s.Seeders != 1 || s.Rooms[0].Parts < 4 {
		t.Errorf("counted %+v", s)
	}
	for cell, n := range h.cellsOf() {
		if n < 1_900 || n > 2_100 {
			t.Errorf("cell %d has %d viewers, want about 2,000", cell, n)
		}
	}
	h.nowMs.Add(20_000) // long enough for those who came first into a cell
	for _, c := range h.local.cells {
		c.second()
	}
	h.settle()
	home := map[announce.PeerID]int{}
	for conn := range h.seats {
		w := of[announce.Welcome](h.notes, conn)
		if len(w) != 1 || h.told[conn][0].Type() != "welcome" {
			t.Fatalf("the first message is %#v, want a welcome", h.told[conn][0])
		}
		home[w[0].ID] = int(h.seats[conn].(*seat).cell)
	}
	for conn := range h.seats {
		if n := len(of[announce.Neighbour](h.notes, conn)); n < 6 {
			t.Errorf("connection %d met %d neighbours", conn, n)
		}
	}
	cells := map[int]bool{}
	for _, n := range of[announce.Neighbour](h.notes, seeder) {
		cells[home[n.ID]] = true
	}
	if len(cells) != 4 {
		t.Errorf("the seeder serves %d cells, want all 4", len(cells))
	}
}

func TestASlowlyGrowingChannelStaysInOneCell(t *testing.T) {
	h := openHall(t, 4)
	for range 2_500 {
		h.enter(announce.Viewer, 0)
		h.nowMs.Add(100)
	}
	if n := slices.Max(h.cellsOf()); n != 2_500 {
		t.Errorf("the first cell has %d of 2,500: who is put into the next would wait for company", n)
	}
}

func TestThoseOfAnISPMeetInOneCell(t *testing.T) {
	h := openHall(t, 4)
	for range 4_000 {
		h.enter(announce.Viewer, 0)
	}
	before := h.cellsOf()
	for i := range 300 {
		h.enter(announce.Viewer, uint64(1+i%3))
	}
	grown := 0
	for cell, n := range h.cellsOf() {
		if n > before[cell] {
			grown++
		}
	}
	if grown > 3 {
		t.Errorf("three ISPs are in %d cells", grown)
	}
}

func TestACellThatEmptiesIsGivenUpAndASeederLosesItsDutiesThere(t *testing.T) {
	h := openHall(t, 2)
	seeder := h.enter(announce.Seeder, 0)
	var viewers []ConnID
	for range 2_000 {
		viewers = append(viewers, h.enter(announce.Viewer, 0))
	}
	h.settle()
	var stayed []ConnID
	for _, conn := range viewers {
		if s := h.seats[conn].(*seat); s.cell != h.seats[viewers[0]].(*seat).cell {
			s.Leave()
			s.Leave() // once more does no harm
		} else {
			stayed = append(stayed, conn)
		}
	}
	if s := h.settle(); s.Viewers != len(stayed) || len(stayed) != 1_000 || s.Seeders != 1 {
		t.Fatalf("counted %+v, want %d viewers", s, len(stayed))
	}
	if open := h.local.channels[channel].open; len(open) != 1 {
		t.Errorf("the channel uses %d cells for one room", len(open))
	}
	for _, conn := range append(stayed, seeder) {
		h.seats[conn].Leave()
	}
	if s := h.settle(); len(s.Rooms) != 0 || len(h.local.channels) != 0 {
		t.Errorf("after everybody left: %+v, %d channels", s, len(h.local.channels))
	}
}

func TestASeederSignalsIntoAllCells(t *testing.T) {
	h := openHall(t, 2)
	seeder := h.enter(announce.Seeder, 0)
	for range 1_200 {
		h.enter(announce.Viewer, 0)
	}
	h.settle()
	home := map[announce.PeerID]int{}
	for _, st := range h.seats {
		home[st.(*seat).id] = int(st.(*seat).cell)
	}
	reached := map[int]bool{}
	for _, n := range of[announce.Neighbour](h.notes, seeder) {
		h.seats[seeder].Signal(announce.SignalTo{To: n.ID, Signal: offer()})
		reached[home[n.ID]] = true
	}
	h.settle()
	if len(of[announce.Error](h.notes, seeder)) != 0 || len(reached) != 2 {
		t.Errorf("a seeder of %d cells was told %+v", len(reached), of[announce.Error](h.notes, seeder))
	}
	got := 0
	for conn := range h.seats {
		got += len(of[announce.SignalFrom](h.notes, conn))
	}
	if want := len(of[announce.Neighbour](h.notes, seeder)); got != want {
		t.Errorf("%d of %d signals arrived", got, want)
	}
	h.seats[seeder].Signal(announce.SignalTo{To: 1, Signal: offer()})
	h.settle()
	if e := of[announce.Error](h.notes, seeder); len(e) != 0 {
		t.Errorf("a signal to nobody, which one of the cells might have known: %+v", e)
	}
}

func TestASeederHearsAllItsDutiesTogether(t *testing.T) {
	shares := map[int][]announce.Share{
		0: {{Rendition: "360p", Stripes: 0b0011}, {Rendition: "720p", Stripes: 1}},
		1: {{Rendition: "1080p", Stripes: 4}, {Rendition: "360p", Stripes: 0b0110}},
	}
	want := []announce.Share{{Rendition: "1080p", Stripes: 4}, {Rendition: "360p", Stripes: 0b0111}, {Rendition: "720p", Stripes: 1}}
	if got := union(shares); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
