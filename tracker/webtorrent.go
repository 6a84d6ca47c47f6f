package tracker

import (
	"net/http"
	"time"

	"slipstream/tracker/server"
	webtorrent "slipstream/tracker/webtorrent/server"
)

// WebTorrent says how WebTorrent's announce protocol is served.
type WebTorrent struct {
	Interval time.Duration     // between a client's announces [2 min]
	Limits   webtorrent.Limits // of what clients can use up
}

// WebTorrentFlags are what the command line says about it.
type WebTorrentFlags struct {
	WebTorrent            bool          `name:"webtorrent" help:"Speak WebTorrent's announce protocol too, at /announce, with whoever comes: it has no tokens."`
	WebTorrentConnections int           `name:"webtorrent-connections" help:"Its connections at a time." default:"10000" placeholder:"N"`
	WebTorrentSwarms      int           `name:"webtorrent-swarms" help:"Its swarms at a time." default:"100000" placeholder:"N"`
	WebTorrentPeers       int           `name:"webtorrent-peers" help:"Its peers in one swarm." default:"50000" placeholder:"N"`
	WebTorrentRate        int64         `name:"webtorrent-rate" help:"Its messages a second from one connection; ten times as many at once." default:"50" placeholder:"N"`
	WebTorrentInterval    time.Duration `name:"webtorrent-interval" help:"How often its clients are to announce themselves." default:"2m" placeholder:"TIME"`
}

// Announcing is what the flags ask for; nil if it is not to be spoken.
func (f WebTorrentFlags) Announcing() *WebTorrent {
	if !f.WebTorrent {
		return nil
	}
	w := &WebTorrent{Interval: f.WebTorrentInterval}
	w.Limits.Connections, w.Limits.Swarms, w.Limits.SwarmPeers = f.WebTorrentConnections, f.WebTorrentSwarms, f.WebTorrentPeers
	w.Limits.Visit.MessageRate, w.Limits.Visit.MessageBurst = f.WebTorrentRate, 10*f.WebTorrentRate
	return w
}

// serve starts it behind the tracker's own checks of web origin and network; nil starts nothing.
func (w *WebTorrent) serve(s *server.Server, cfg Config) (*webtorrent.Server, error) {
	if w == nil {
		return nil, nil
	}
	return webtorrent.New(webtorrent.Config{Gate: s.Gate, ClientAddr: cfg.ClientAddr, Limits: w.Limits, Interval: w.Interval, Log: cfg.Log})
}

// Mounts are the tracker's handlers and where they belong.
func (t *Tracker) Mounts() map[string]http.Handler {
	mounts := map[string]http.Handler{"/tracker": t.WebSocket(), "/tracker/stats.json": t.Stats()}
	if t.others != nil {
		mounts["/announce"] = t.others
		mounts["/announce/stats"], mounts["/announce/stats.json"] = t.others.Stats(), t.others.Stats()
	}
	return mounts
}
