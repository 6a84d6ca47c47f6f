package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"slipstream/tracker/announce"
)

// Stats is the answer of /tracker/stats.json. Byte counts and stalls are sums of the last reports of those who are in
// the room now; viewers report totals since their playback began, so a restarted tracker soon knows them again.
type Stats struct {
	NowMs   int64       `json:"nowMs"` // epoch ms at which this was counted
	Viewers int         `json:"viewers"`
	Seeders int         `json:"seeders"`
	Rooms   []RoomStats `json:"rooms"` // sorted by channel
}

// RoomStats is one channel.
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
}

// statsRequest asks the hub for the JSON.
type statsRequest struct{ reply chan []byte }

// statsCache is the last answer; counting costs a walk over all viewers, so it is done once a second at most.
type statsCache struct {
	atMs int64
	json []byte
}

// Stats serves /tracker/stats.json.
func (s *Server) Stats() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD.", http.StatusMethodNotAllowed)
			return
		}
		req := statsRequest{make(chan []byte, 1)}
		s.hub.post(nil, req)
		select {
		case b := <-req.reply:
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Write(b)
		case <-s.ctx.Done():
			http.Error(w, "The tracker has stopped.", http.StatusServiceUnavailable)
		case <-r.Context().Done():
		}
	})
}

func (h *hub) snapshot() []byte {
	const cacheMs = 1000
	nowMs := h.srv.cfg.Now().UnixMilli()
	if h.stats.json != nil && nowMs-h.stats.atMs < cacheMs && nowMs >= h.stats.atMs {
		return h.stats.json
	}
	all := Stats{NowMs: nowMs, Rooms: []RoomStats{}}
	for channel, r := range h.rooms {
		room := r.count(channel)
		for _, n := range h.swarm.Rooms(channel) {
			room.Parts += min(n, 1)
		}
		all.Viewers += room.Viewers
		all.Seeders += room.Seeders
		all.Rooms = append(all.Rooms, room)
	}
	slices.SortFunc(all.Rooms, func(a, b RoomStats) int { return cmp.Compare(a.Channel, b.Channel) })
	b, err := json.Marshal(all)
	if err != nil {
		h.srv.log.Error("the statistics could not be encoded", "error", err)
		b = []byte("{}")
	}
	h.stats = statsCache{nowMs, b}
	return b
}

func (r *roster) count(channel string) RoomStats {
	s := RoomStats{Channel: channel}
	neighbours, latencyMs, withLatency := int64(0), int64(0), int64(0)
	for _, m := range r.members {
		rep := m.report
		if m.role == announce.Seeder {
			s.Seeders++
			add(&s.SeederHTTPBytes, rep.HTTPBytes)
			add(&s.SeederUploadedBytes, rep.UploadedBytes)
			continue
		}
		s.Viewers++
		if rep.Ready {
			s.Ready++
		}
		neighbours += rep.Neighbours
		add(&s.HTTPBytes, rep.HTTPBytes)
		add(&s.P2PBytes, rep.P2PBytes)
		add(&s.UploadedBytes, rep.UploadedBytes)
		add(&s.Stalls, rep.Stalls)
		add(&s.StallMs, rep.StallMs)
		add(&s.Rescues, rep.Rescues)
		if rep.LatencyMs > 0 {
			add(&latencyMs, rep.LatencyMs)
			withLatency++
		}
	}
	if s.Viewers > 0 {
		s.NeighboursMean = float64(neighbours) / float64(s.Viewers)
	}
	if all := float64(s.HTTPBytes) + float64(s.P2PBytes); all > 0 {
		s.Offload = float64(s.P2PBytes) / all
	}
	if withLatency > 0 {
		s.LatencyMsMean = latencyMs / withLatency
	}
	return s
}

// add stays within what JavaScript counts exactly, whatever clients claim.
func add(sum *int64, n int64) { *sum = min(*sum+n, announce.MaxInteger) }
