package tracker

import (
	"encoding/json"
	"net/http"

	"slipstream/tracker/server"
)

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool            `json:"ready"`
	Reasons []server.Reason `json:"reasons"` // why it is not; sentences for people, codes for programs
}

// Ready is the handler for /readyz: 200, or 503 and the reasons why clients should be sent elsewhere.
func (t *Tracker) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		why := t.server.Unready()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if len(why) > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(readiness{len(why) == 0, why}) // if it fails, the client is gone
	})
}
