package server

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"

	"slipstream/tracker/announce"
	"slipstream/tracker/swarm"
)

// Stats is the answer of /tracker/stats.json. Byte counts and stalls are sums of the last reports of those who are in
// the room now; viewers report totals since their playback began, so a restarted tracker soon knows them again.
type Stats struct {
	NowMs   int64 `json:"nowMs"` // epoch ms at which this was counted
	Viewers int   `json:"viewers"`
	Seeders int   `json:"seeders"`
	Pace
	Offload    float64 `json:"offload"` // these as in RoomStats, of all rooms together
	StallRatio float64 `json:"stallRatio"`
	SameISP    float64 `json:"sameIsp"`
	Copies     float64 `json:"copies"`

	Rejects map[string]int64 `json:"rejects"`         // turned away since the start, by reason
	Nodes   []NodeStats      `json:"nodes,omitempty"` // of the cluster, as this one hears them; itself first
	ISPs    []ISPStats       `json:"isps"`            // of the viewers here: the largest, and then the others
	Rooms   []RoomStats      `json:"rooms"`           // of this node, sorted by channel
}

// NodeStats is one node of a cluster.
type NodeStats struct {
	Name  string  `json:"name"`
	State string  `json:"state"` // ready, draining
	LagMs float64 `json:"lagMs"` // what it said last took so long through NATS, if the clocks agree
}

// Roster is a Relay that knows the nodes of its cluster.
type Roster interface{ Nodes() []NodeStats }

// RoomStats is one channel, in all cells.
type RoomStats struct {
	Channel             string  `json:"channel"` // id
	Viewers             int     `json:"viewers"` // without seeders
	Seeders             int     `json:"seeders"`
	Parts               int     `json:"parts"`          // into which the tracker split the channel: those of one know of each other
	Ready               int     `json:"ready"`          // viewers with at least one neighbour
	NeighboursMean      float64 `json:"neighboursMean"` // of viewers
	Offload             float64 `json:"offload"`        // p2pBytes / (httpBytes + p2pBytes), 0 without bytes
	HTTPBytes           int64   `json:"httpBytes"`
	P2PBytes            int64   `json:"p2pBytes"`
	UploadedBytes       int64   `json:"uploadedBytes"`
	SeederHTTPBytes     int64   `json:"seederHttpBytes"`
	SeederUploadedBytes int64   `json:"seederUploadedBytes"`
	Stalls              int64   `json:"stalls"`
	StallMs             int64   `json:"stallMs"`
	Rescues             int64   `json:"rescues"`
	LatencyMsMean       int64   `json:"latencyMsMean"` // of viewers that reported one
	StallRatio          float64 `json:"stallRatio"`    // of the time that those who are here have watched
	Pairs               int     `json:"pairs"`         // of neighbours
	SameISP             float64 `json:"sameIsp"`       // share of the pairs of viewers with known ISPs that have the same
	Copies              float64 `json:"copies"`        // in which what a viewer plays is fetched from the CDN by duty, on average
}

// census asks a cell for its counts.
type census struct{ reply chan map[string]*count }

// count is one channel's members in one cell, or in several.
type count struct {
	RoomStats
	seeders                           map[announce.PeerID]announce.Report // each is in several cells
	neighbours, latencyMs, hadLatency int64
	watchedMs, stalledMs              int64
	told                              swarm.Census
	crowds                            map[uint64]swarm.Crowd // by ISP
}

func newCount() *count {
	return &count{seeders: map[announce.PeerID]announce.Report{}, crowds: map[uint64]swarm.Crowd{}}
}

// statsCache is the last answer; counting costs a walk over all viewers, so it is done once a second at most.
type statsCache struct {
	mu   sync.Mutex
	atMs int64
	json []byte
	last Stats // what it says
}

// Stats serves /tracker/stats.json.
func (s *Server) Stats() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD.", http.StatusMethodNotAllowed)
			return
		}
		b := s.snapshot()
		if b == nil {
			http.Error(w, "The tracker has stopped.", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Write(b)
	})
}

// snapshot is the statistics as JSON, nil after the end of the server.
func (s *Server) snapshot() []byte {
	const cacheMs = 1000
	s.stats.mu.Lock() // those who ask meanwhile get the same answer
	defer s.stats.mu.Unlock()
	nowMs := s.cfg.Now().UnixMilli()
	if age := nowMs - s.stats.atMs; s.ctx.Err() == nil && s.stats.json != nil && age >= 0 && age < cacheMs {
		return s.stats.json
	}
	channels, ok := s.local.census()
	if !ok {
		return nil
	}
	all := Stats{NowMs: nowMs, Pace: s.pace.lately(s.cfg.Now()), Rejects: s.metrics.rejected(), Rooms: []RoomStats{}}
	if roster, ok := s.cfg.Relay.(Roster); ok {
		all.Nodes = roster.Nodes()
	}
	total := newCount()
	for name, c := range channels {
		room := c.sum()
		room.Channel = name
		all.Rooms = append(all.Rooms, room)
		total.merge(c)
	}
	sum := total.sum()
	all.Viewers, all.Seeders = sum.Viewers, sum.Seeders
	all.ISPs = largestISPs(total.crowds)
	all.Offload, all.StallRatio, all.SameISP, all.Copies = sum.Offload, sum.StallRatio, sum.SameISP, sum.Copies
	slices.SortFunc(all.Rooms, func(a, b RoomStats) int { return cmp.Compare(a.Channel, b.Channel) })
	b, err := json.Marshal(all)
	if err != nil {
		s.log.Error("the statistics could not be encoded", "error", err)
		b = []byte("{}")
	}
	s.stats.atMs, s.stats.json, s.stats.last = nowMs, b, all
	return b
}

// census counts all cells; false after the end of the server.
func (r *rooms) census() (all map[string]*count, ok bool) {
	replies := make(chan map[string]*count, len(r.cells))
	for _, c := range r.cells {
		c.post(nil, census{replies})
	}
	all = map[string]*count{}
	for range r.cells {
		select {
		case <-r.srv.ctx.Done():
			return nil, false
		case cell := <-replies:
			for name, c := range cell {
				if all[name] == nil {
					all[name] = c
				} else {
					all[name].merge(c)
				}
			}
		}
	}
	return all, true
}

// count is the cell's answer to census.
func (c *cell) count() map[string]*count {
	all := map[string]*count{}
	for m := range c.members.All() {
		n := all[m.audience.name]
		if n == nil {
			n = newCount()
			all[m.audience.name] = n
			n.told, n.crowds = c.swarm.Census(m.audience.name), c.swarm.Crowds(m.audience.name)
		}
		if m.seeder == nil {
			n.add(m)
			continue
		}
		n.seeders[m.id] = announce.Report{}
		if m.reported != nil {
			n.seeders[m.id] = m.reported.last
		}
	}
	return all
}

// add counts a viewer.
func (c *count) add(m *member) {
	c.Viewers++
	if m.reported == nil {
		return
	}
	r := &m.reported.last
	c.watchedMs += m.reported.watchedMs
	c.stalledMs += m.reported.stalledMs
	if r.Ready {
		c.Ready++
	}
	c.neighbours += r.Neighbours
	add(&c.HTTPBytes, r.HTTPBytes)
	add(&c.P2PBytes, r.P2PBytes)
	add(&c.UploadedBytes, r.UploadedBytes)
	add(&c.Stalls, r.Stalls)
	add(&c.StallMs, r.StallMs)
	add(&c.Rescues, r.Rescues)
	if r.LatencyMs > 0 {
		add(&c.latencyMs, r.LatencyMs)
		c.hadLatency++
	}
}

// merge adds what another cell counted of the same channel.
func (c *count) merge(o *count) {
	maps.Copy(c.seeders, o.seeders)
	c.Viewers += o.Viewers
	c.told.Add(o.told)
	for isp, crowd := range o.crowds {
		crowd.Add(c.crowds[isp])
		c.crowds[isp] = crowd
	}
	c.watchedMs += o.watchedMs
	c.stalledMs += o.stalledMs
	c.Ready += o.Ready
	c.neighbours += o.neighbours
	c.hadLatency += o.hadLatency
	add(&c.latencyMs, o.latencyMs)
	add(&c.HTTPBytes, o.HTTPBytes)
	add(&c.P2PBytes, o.P2PBytes)
	add(&c.UploadedBytes, o.UploadedBytes)
	add(&c.Stalls, o.Stalls)
	add(&c.StallMs, o.StallMs)
	add(&c.Rescues, o.Rescues)
}

func (c *count) sum() RoomStats {
	s := c.RoomStats
	s.Seeders = len(c.seeders)
	s.Parts, s.Pairs = c.told.Rooms, c.told.Pairs
	ratio := func(part, whole int64) float64 { return float64(part) / float64(max(whole, 1)) }
	s.StallRatio = ratio(c.stalledMs, c.watchedMs)
	s.SameISP = ratio(int64(c.told.Local), int64(c.told.Placed))
	s.Copies = ratio(int64(c.told.Holders), int64(c.told.Players))
	for _, r := range c.seeders {
		add(&s.SeederHTTPBytes, r.HTTPBytes)
		add(&s.SeederUploadedBytes, r.UploadedBytes)
	}
	if s.Viewers > 0 {
		s.NeighboursMean = float64(c.neighbours) / float64(s.Viewers)
	}
	if all := float64(s.HTTPBytes) + float64(s.P2PBytes); all > 0 {
		s.Offload = float64(s.P2PBytes) / all
	}
	if c.hadLatency > 0 {
		s.LatencyMsMean = c.latencyMs / c.hadLatency
	}
	return s
}

// add stays within what JavaScript counts exactly, whatever clients claim.
func add(sum *int64, n int64) { *sum = min(*sum+n, announce.MaxInteger) }
