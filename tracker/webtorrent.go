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
