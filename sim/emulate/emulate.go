// Package emulate runs a scenario of the simulator with real processes on this
// machine: real viewers, a real origin, tracker and seeders, real kernels' TCP and
// real WebRTC, behind access lines that exist only here. DESIGN.md says how, and how
// far to trust it.
//
// Each host is a network namespace whose only device is a TUN device; package link
// decides when a packet that one host sends comes out at another, if it does. The
// rest of this package is a thin shell around it: namespaces, children, and the
// counting of what they report. It needs Linux and root, and starts components as
// programs: it imports none of them.
package emulate

import (
	"io"
	"log/slog"

	"slipstream/sim/world"
)

// Config says what to emulate.
type Config struct {
	Scenario world.Config
	Program  string // the slipstream binary
	PerHost  int    // viewers that share a host and its line; 0: one
	JSON     bool   // one JSON object instead of text
	In       io.Reader
	Out      io.Writer
	Log      *slog.Logger // nil: nothing is logged
}

// maxPerHost bounds a household.
const maxPerHost = 100
