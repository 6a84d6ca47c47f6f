package world

import "slipstream/sim/network"

// serviceUnavailable is what the CDN answers when it fails.
const serviceUnavailable = 503

// cdnFails tells whether the request that the viewer is about to send is answered
// with an error.
func (v *viewer) cdnFails() bool {
	w := v.w
	v.requests++
	for _, o := range w.cfg.CDN.Outages {
		if at := w.nowMs - startMs; at >= o.FromMs && at < o.ToMs {
			return true
		}
	}
	return w.cfg.CDN.Errors > 0 && w.draw.Unit(v.number, drawCDNError, v.requests) < w.cfg.CDN.Errors
}

// edgeNow is the CDN as fast as it is now.
func (w *world) edgeNow() *network.CDN {
	w.cdn.ServerMs, w.cdn.BytesPerSec = w.cfg.CDN.ServerMs, w.cfg.CDN.BytesPerSec
	for _, s := range w.cfg.CDN.Slow {
		if at := w.nowMs - startMs; at >= s.FromMs && at < s.ToMs {
			w.cdn.ServerMs, w.cdn.BytesPerSec = s.ServerMs, s.BytesPerSec
		}
	}
	return &w.cdn
}

// errorMs is how long it takes to hear of an error.
func (w *world) errorMs() int64 {
	c := w.edgeNow()
	return 2*c.OneWayMs + c.ServerMs
}
