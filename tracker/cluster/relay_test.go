package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
)

const channel = "cccccccccccccccccccccccccccccccccccccccccc0"

// tracker is a node whose clients are the test: it has real rooms and a real relay, on a bus in memory, and nothing
// happens by itself.
type tracker struct {
	t     *testing.T
	relay *Relay
	rooms server.Rooms
	net   *network
	srv   *server.Server

	mu      sync.Mutex
	clients map[server.ConnID]*client
}

// client is a tracker's client.
type client struct {
	seat server.Seat
	mu   sync.Mutex
	told told
}

// told is what a client was told.
type told struct {
	id     announce.PeerID
	knows  map[announce.PeerID]bool
	met    int // introductions
	parted int // neighbours that left
	heard  int // signals
	end    string
}

// look is a copy of what it was told so far.
func (c *client) look() told {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := c.told
	copied.knows = maps.Clone(copied.knows)
	return copied
}

// network is the bus of all trackers of a test.
type network struct {
	mu    sync.Mutex
	nodes map[server.NodeID]*tracker
	cut   map[server.NodeID]bool // hears nothing and is not heard, and its time stands still
	side  map[server.NodeID]int  // of a partition: those of different sides do not hear each other
	deaf  [2]server.NodeID       // these two do not hear each other
	mail  []letter
}

// carries tells whether one hears another.
func (n *network) carries(from, to server.NodeID) bool {
	return !n.cut[from] && !n.cut[to] && n.side[from] == n.side[to] && n.deaf != [2]server.NodeID{from, to} && n.deaf != [2]server.NodeID{to, from}
}

type letter struct {
	from, to server.NodeID // to 0: everybody
	data     []byte
}

// port is a tracker's end of it.
type port struct {
	net  *network
	self server.NodeID
}

func (p port) send(to server.NodeID, batch []byte) error { return p.post(to, batch) }
func (p port) beat(heartbeat []byte) error               { return p.post(0, heartbeat) }

func (p port) post(to server.NodeID, data []byte) error {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	p.net.mail = append(p.net.mail, letter{p.self, to, bytes.Clone(data)})
	return nil
}

// manual is a relay whose goroutines do not run.
type manual struct{ *tracker }

func (m manual) Node() server.NodeID { return m.relay.id }

func (m manual) Start(here server.Rooms, _ server.Post) (server.Rooms, server.Post) {
	m.relay.here, m.relay.connections = here, m.tracker
	close(m.relay.started)
	m.rooms = m.relay
	return m.relay, m.relay
}

func newNetwork() *network {
	return &network{nodes: map[server.NodeID]*tracker{}, cut: map[server.NodeID]bool{}, side: map[server.NodeID]int{}}
}

func (n *network) open(t *testing.T, id server.NodeID) *tracker {
	t.Helper()
	tr := &tracker{t: t, net: n, clients: map[server.ConnID]*client{}}
	tr.relay = newRelay(id, fmt.Sprint("node ", id), port{n, id}, slog.New(slog.DiscardHandler))
	srv, err := server.New(server.Config{
		Secret: bytes.Repeat([]byte{1}, 32), Relay: manual{tr}, Cells: 1, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	tr.srv, tr.rooms = srv, tr.relay
	t.Cleanup(srv.Close)
	n.nodes[id] = tr
	return tr
}

// run lets heartbeats and batches through and stays move, for so many ticks.
func (n *network) run(ticks int) {
	for range ticks {
		for id, tr := range n.nodes {
			if !n.cut[id] {
				tr.relay.tick()
				tr.relay.carry(time.Now().Add(time.Hour))
			}
		}
		n.settle()
	}
}

// settle delivers until nobody has anything to say.
func (n *network) settle() {
	for quiet := 0; quiet < 3; {
		for _, tr := range n.nodes {
			tr.relay.sendAll()
		}
		n.mu.Lock()
		mail := n.mail
		n.mail = nil
		n.mu.Unlock()
		if len(mail) == 0 {
			quiet++
			time.Sleep(2 * time.Millisecond) // cells have goroutines of their own
			continue
		}
		quiet = 0
		for _, l := range mail {
			for id, tr := range n.nodes {
				switch {
				case !n.carries(l.from, id):
				case l.to == 0:
					tr.relay.hear(l.data)
				case l.to == id:
					tr.relay.receive(l.data)
				}
			}
		}
	}
}

// Deliver implements server.Post for the test's clients.
func (tr *tracker) Deliver(to server.Address, frame []byte, end string) {
	m, err := announce.Decode(frame)
	if err != nil {
		tr.t.Errorf("%s: %v", frame, err)
		return
	}
	tr.mu.Lock()
	client := tr.clients[to.Conn]
	tr.mu.Unlock()
	client.mu.Lock()
	defer client.mu.Unlock()
	c := &client.told
	if end != "" { // after which nothing counts
		c.end = end
	}
	switch m := m.(type) {
	case announce.Welcome:
		if c.id != 0 {
			tr.t.Errorf("client %d is welcomed twice", to.Conn)
		}
		c.id = m.ID
	case announce.Neighbour:
		c.knows[m.ID] = true
		c.met++
	case announce.Gone:
		delete(c.knows, m.ID)
		c.parted++
	case announce.SignalFrom:
		c.heard++
	}
}

func (tr *tracker) enter(conn server.ConnID) *client {
	tr.t.Helper()
	c := &client{told: told{knows: map[announce.PeerID]bool{}}}
	tr.mu.Lock()
	tr.clients[conn] = c
	tr.mu.Unlock()
	seat, refusal := tr.rooms.Enter(server.Address{Node: tr.relay.id, Conn: conn}, server.Enter{
		Channel: channel, Join: announce.Join{Version: 1, Role: announce.Viewer, Renditions: []string{"360p"}}, Subnet: uint64(conn),
	})
	if refusal != nil {
		tr.t.Fatal(refusal.Message)
	}
	c.seat = seat
	return c
}

// crowd is three trackers that know each other, with so many viewers each who know each other.
func crowd(t *testing.T, each int) (n *network, all []*client) {
	n = newNetwork()
	for id := server.NodeID(1); id <= 3; id++ {
		n.open(t, id)
	}
	n.run(2)
	for i := range each {
		for id := server.NodeID(1); id <= 3; id++ {
			all = append(all, n.nodes[id].enter(server.ConnID(100*int(id)+i)))
		}
	}
	n.settle()
	for i, c := range all {
		now := c.look()
		if now.id == 0 || len(now.knows) == 0 {
			t.Fatalf("client %d has id %s and %d neighbours", i, now.id, len(now.knows))
		}
		c.seat.Report(announce.Report{Ready: true, Neighbours: int64(len(now.knows)), Renditions: []string{"360p"}})
	}
	n.settle()
	return n, all
}

// ownerOf is the node that has the channel, and those that do not.
func (n *network) ownerOf(t *testing.T) (with server.NodeID, without []server.NodeID) {
	t.Helper()
	for id, tr := range n.nodes {
		switch {
		case n.cut[id]:
		case !tr.relay.vacant() && with != 0:
			t.Fatalf("nodes %d and %d have the channel", with, id)
		case !tr.relay.vacant():
			with = id
		default:
			without = append(without, id)
		}
	}
	slices.Sort(without)
	return with, without
}

func (n *network) signal(t *testing.T, all []*client) {
	t.Helper()
	byID, before := map[announce.PeerID]*client{}, map[*client]int{}
	for _, c := range all {
		now := c.look()
		byID[now.id], before[c] = c, now.heard
	}
	want := map[*client]int{}
	for _, c := range all {
		for id := range c.look().knows {
			if to := byID[id]; to != nil {
				c.seat.Signal(announce.SignalTo{To: id, Signal: offer()})
				want[to]++
			}
		}
	}
	n.settle()
	for i, c := range all {
		if now := c.look(); now.heard-before[c] != want[c] || now.end != "" {
			t.Errorf("client %d heard %d of %d signals, and its end is %q", i, now.heard-before[c], want[c], now.end)
		}
	}
}

func offer() announce.Signal {
	return announce.Signal{
		Kind: announce.Offer, Ufrag: "abcd", Pwd: strings.Repeat("p", 22), Setup: "actpass",
		Fingerprint: "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
	}
}

func TestViewersOfDifferentTrackersMeetAndSignal(t *testing.T) {
	n, all := crowd(t, 3)
	for i, c := range all {
		if knows := c.look().knows; len(knows) != len(all)-1 {
			t.Errorf("client %d knows %d of %d others", i, len(knows), len(all)-1)
		}
	}
	n.signal(t, all)
	n.ownerOf(t)
	all[0].seat.Leave()
	n.settle()
	for i, c := range all[1:] {
		if c.look().knows[all[0].look().id] {
			t.Errorf("client %d was not told that a neighbour left", i)
		}
	}
}

// quiet fails if somebody was introduced, parted or closed since the crowd came together.
func quiet(t *testing.T, all []*client, do func()) {
	t.Helper()
	type state struct{ met, parted int }
	before := make([]state, len(all))
	for i, c := range all {
		now := c.look()
		before[i] = state{now.met, now.parted}
	}
	do()
	for i, c := range all {
		now := c.look()
		if after := (state{now.met, now.parted}); after != before[i] || now.end != "" {
			t.Errorf("client %d was told %+v, then %+v, end %q", i, before[i], after, now.end)
		}
	}
}

func TestViewersDoNotNoticeThatTheirOwnerVanished(t *testing.T) {
	n, _ := crowd(t, 5)
	owner, _ := n.ownerOf(t)
	var survivors []*client
	for id, tr := range n.nodes {
		if id == owner {
			continue
		}
		for _, c := range tr.clients {
			survivors = append(survivors, c)
		}
	}
	quiet(t, survivors, func() {
		n.cut[owner] = true
		n.run(awayTicks + 3)
	})
	if heir, _ := n.ownerOf(t); heir == owner {
		t.Fatal("the owner is the same")
	}
	n.signal(t, survivors)
}

func TestViewersDoNotNoticeThatTheirOwnerStops(t *testing.T) {
	n, all := crowd(t, 5)
	owner, _ := n.ownerOf(t)
	quiet(t, all, func() {
		n.nodes[owner].relay.giveAway()
		n.run(3)
	})
	if heir, _ := n.ownerOf(t); heir == owner || heir == 0 {
		t.Fatalf("the channel is on %d, which gave it away", heir)
	}
	n.signal(t, all)
}

func TestAnEdgeThatVanishesTakesItsViewersAlong(t *testing.T) {
	n, _ := crowd(t, 4)
	_, edges := n.ownerOf(t)
	lost := n.nodes[edges[0]]
	n.cut[edges[0]] = true
	n.run(awayTicks + 3)
	for id, tr := range n.nodes {
		for conn, c := range tr.clients {
			for _, gone := range lost.clients {
				if left := gone.look().id; id != edges[0] && c.look().knows[left] {
					t.Errorf("client %d of node %d was not told that %s left", conn, id, left)
				}
			}
		}
	}
}

func TestATrackerThatWasCutOffComesBack(t *testing.T) {
	n, all := crowd(t, 4)
	_, edges := n.ownerOf(t)
	away := edges[0]
	n.cut[away] = true
	n.run(awayTicks + 3)
	for range awayTicks + 3 { // it goes on alone
		n.nodes[away].relay.tick()
		n.nodes[away].relay.carry(time.Now().Add(time.Hour))
	}
	n.mail = nil
	n.cut[away] = false
	n.run(4)
	n.ownerOf(t)
	n.run(2)
	for i, c := range all {
		if end := c.look().end; end != "" {
			t.Errorf("client %d was closed: %s", i, end)
		}
	}
	n.signal(t, all)
}

func TestATrackerThatWasStoppedLearnsThatItsSeatsAreGone(t *testing.T) {
	n, all := crowd(t, 4)
	_, edges := n.ownerOf(t)
	away := edges[0]
	n.cut[away] = true
	n.run(awayTicks + 3) // it is stopped: it counts no ticks
	n.cut[away] = false
	n.run(4)
	owner, _ := n.ownerOf(t)
	if seats := n.nodes[owner].relay.size(channel); seats != len(all) {
		t.Errorf("the owner has %d seats for %d clients", seats, len(all))
	}
	n.signal(t, all)
}

func TestWaitingForAWelcomeEndsWithTheOwner(t *testing.T) {
	n, _ := crowd(t, 2)
	owner, edges := n.ownerOf(t)
	n.cut[owner] = true
	c := n.nodes[edges[0]].enter(900)
	n.settle()
	if c.look().id != 0 {
		t.Fatal("welcomed by nobody")
	}
	n.run(awayTicks + 3)
	if now := c.look(); now.id == 0 || len(now.knows) == 0 {
		t.Errorf("id %s, %d neighbours", now.id, len(now.knows))
	}
}

// A tracker is cut off from the others, whether it has the channel or not; its clients still reach it. Both sides serve theirs,
// newcomers too, and when the cut heals nobody loses a neighbour, and all are in the same rooms.
func TestBothSidesOfAPartitionServeTheirs(t *testing.T) {
	for name, ownsIt := range map[string]bool{"the owner is cut off": true, "an edge is cut off": false} {
		t.Run(name, func(t *testing.T) {
			n, all := crowd(t, 4)
			away, edges := n.ownerOf(t)
			if !ownsIt {
				away = edges[0]
			}
			n.side[away] = 1
			n.run(awayTicks + 3)
			var met []*client
			for id, tr := range n.nodes {
				newcomer := tr.enter(server.ConnID(900 + id))
				met = append(met, newcomer)
			}
			n.run(2)
			all = append(all, met...)
			for i, c := range met {
				if now := c.look(); now.id == 0 || len(now.knows) == 0 {
					t.Errorf("newcomer %d has id %s and knows %d during the cut", i, now.id, len(now.knows))
				}
			}
			parted := make([]int, len(all))
			for i, c := range all {
				parted[i] = c.look().parted
			}
			delete(n.side, away)
			n.run(4)
			for i, c := range all {
				if now := c.look(); now.parted != parted[i] || now.end != "" {
					t.Errorf("client %d lost %d neighbours when the cut healed, and its end is %q", i, now.parted-parted[i], now.end)
				}
			}
			owner, _ := n.ownerOf(t)
			if seats := n.nodes[owner].relay.size(channel); seats != len(all) {
				t.Errorf("the owner has %d seats for %d clients", seats, len(all))
			}
			for id, tr := range n.nodes {
				if guests := len(tr.relay.guests[away]); id != owner && guests > 0 {
					t.Errorf("node %d still has %d guests", id, guests)
				}
			}
			n.signal(t, all)
		})
	}
}

// Two trackers do not hear each other, and both hear the third: NATS passes nothing on from one route to another.
func TestTrackersThatOnlyAThirdHearsServeTheirs(t *testing.T) {
	n, all := crowd(t, 4)
	owner, edges := n.ownerOf(t)
	n.deaf = [2]server.NodeID{owner, edges[0]}
	n.run(awayTicks + 3)
	newcomers := []*client{n.nodes[owner].enter(901), n.nodes[edges[0]].enter(902), n.nodes[edges[1]].enter(903)}
	n.run(2)
	for i, c := range newcomers {
		if now := c.look(); now.id == 0 || len(now.knows) == 0 {
			t.Errorf("newcomer %d has id %s and knows %d", i, now.id, len(now.knows))
		}
	}
	n.deaf = [2]server.NodeID{}
	n.run(4)
	all = append(all, newcomers...)
	with, _ := n.ownerOf(t)
	if seats := n.nodes[with].relay.size(channel); seats != len(all) {
		t.Errorf("the owner has %d seats for %d clients", seats, len(all))
	}
	n.signal(t, all)
}

// What two trackers tell each other can be lost when a route breaks, such as that somebody left.
func TestAGuestWhoseLeavingWasLostLeavesWhenItIsSpokenTo(t *testing.T) {
	n, all := crowd(t, 3)
	owner, edges := n.ownerOf(t)
	edge := n.nodes[edges[0]]
	for conn := range edge.clients {
		edge.relay.forget(edge.relay.stays.Get(uint64(conn)))
		break
	}
	newcomer := n.nodes[owner].enter(900) // who meets everybody
	n.settle()
	if seats := n.nodes[owner].relay.size(channel); seats != len(all) {
		t.Errorf("the owner has %d seats for %d clients", seats, len(all))
	}
	if knows := len(newcomer.look().knows); knows != len(all)-1 {
		t.Errorf("the newcomer knows %d of %d", knows, len(all)-1)
	}
}
