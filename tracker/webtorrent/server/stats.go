package server

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"slipstream/tracker/webtorrent"
)

// Stats is the answer of stats.json, with the names that bittorrent-tracker gives them. A peer that is in several swarms
// counts once.
type Stats struct {
	Torrents              int                       `json:"torrents"`
	ActiveTorrents        int                       `json:"activeTorrents"` // the same: a swarm without a peer is forgotten
	PeersAll              int                       `json:"peersAll"`
	PeersSeederOnly       int                       `json:"peersSeederOnly"`
	PeersLeecherOnly      int                       `json:"peersLeecherOnly"`
	PeersSeederAndLeecher int                       `json:"peersSeederAndLeecher"`
	PeersIPv4             int                       `json:"peersIPv4"`
	PeersIPv6             int                       `json:"peersIPv6"`
	Clients               map[string]map[string]int `json:"clients"` // by the name and version in the peer id
}

// statsCache holds the last count: it takes a walk over all peers, which is done once a second at most.
type statsCache struct {
	mu    sync.Mutex
	atMs  int64
	stats Stats
}

// maxClients bounds how many kinds of clients are told apart: peer ids are what clients make of them.
const maxClients = 100

// Stats serves the statistics: as JSON where the path ends in .json or the client asks for it, else as a page.
func (s *Server) Stats() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD.", http.StatusMethodNotAllowed)
			return
		}
		stats := s.countPeers()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if strings.HasSuffix(r.URL.Path, ".json") || r.Header.Get("Accept") == "application/json" {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(stats)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		statsPage.Execute(w, stats)
	})
}

var statsPage = template.Must(template.New("stats").Parse(`<!doctype html><title>WebTorrent tracker</title>
<h1>{{.Torrents}} torrents</h1>
<ul><li>Peers: {{.PeersAll}}<li>that only seed: {{.PeersSeederOnly}}<li>that only fetch: {{.PeersLeecherOnly}}<li>that do both: {{.PeersSeederAndLeecher}}
<li>over IPv4: {{.PeersIPv4}}<li>over IPv6: {{.PeersIPv6}}</ul>
<h2>Clients</h2>
<ul>{{range $name, $versions := .Clients}}{{range $version, $n := $versions}}<li>{{$name}} {{$version}}: {{$n}}
{{end}}{{end}}</ul>
`))

func (s *Server) countPeers() Stats {
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	now := s.nowMs()
	if s.stats.atMs > 0 && now-s.stats.atMs < 1000 {
		return s.stats.stats
	}
	type peer struct{ seeder, leecher, v6 bool }
	peers := map[webtorrent.ID]peer{}
	all := Stats{Clients: map[string]map[string]int{}}
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		swarms, _ := sh.swarms.Len()
		all.Torrents += swarms
		sh.swarms.Each(func(c *conn, id webtorrent.ID, seeder bool) {
			p := peers[id]
			peers[id] = peer{p.seeder || seeder, p.leecher || !seeder, p.v6 || c.v6}
		})
		sh.mu.Unlock()
	}
	all.ActiveTorrents, all.PeersAll = all.Torrents, len(peers)
	kinds := 0
	for id, p := range peers {
		switch {
		case p.seeder && p.leecher:
			all.PeersSeederAndLeecher++
		case p.seeder:
			all.PeersSeederOnly++
		default:
			all.PeersLeecherOnly++
		}
		if p.v6 {
			all.PeersIPv6++
		} else {
			all.PeersIPv4++
		}
		name, version := id.Client()
		if all.Clients[name][version] == 0 {
			if kinds == maxClients {
				name, version = "other", ""
			} else {
				kinds++
			}
		}
		if all.Clients[name] == nil {
			all.Clients[name] = map[string]int{}
		}
		all.Clients[name][version]++
	}
	s.stats.atMs, s.stats.stats = now, all
	return all
}
