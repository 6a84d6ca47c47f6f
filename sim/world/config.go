package world

import (
	"slipstream/peer/sched"
)

// Config is an experiment. Package scenario reads it from YAML and explains each
// setting to those who write them; here are the units.
type Config struct {
	Name           string
	Seed           uint64
	DurationMs     int64 // simulated time after the first join
	MeasureAfterMs int64 // segments published earlier count as warming up
	PeerToPeer     bool  // false: plain HLS over the CDN, to compare with

	Stream    Stream
	Viewers   int
	Arrival   Arrival
	StayMs    int64   // mean of an exponential distribution; 0: to the end
	Crashes   float64 // share of those who go before the end that go without a word
	Classes   []Class
	Exits     []Exit
	Seeders   Seeders
	Network   Network
	CDN       CDN
	Tracker   Tracker
	Scheduler sched.Config // Seed and NoUpload are set per viewer
}

// Stream is what the origin publishes.
type Stream struct {
	BytesPerSec      int64
	SegmentMs        int64
	HoldBackSegments int   // a viewer starts so far behind the end of the playlist
	WindowSegments   int   // in the playlist
	PublishDelayMs   int64 // from the end of a segment to its being in the playlist
}

// Arrival says when viewers come: together (both zero), evenly over OverMs, or
// as a Poisson process of PerSecond.
type Arrival struct {
	OverMs    int64
	PerSecond float64
}

// Class is a kind of access line. A viewer belongs to the class in whose share
// its draw falls.
type Class struct {
	Share               float64 // of the viewers; all shares add up to 1
	UplinkBytesPerSec   int64   // mean
	UplinkSpread        float64 // standard deviation of its logarithm
	DownlinkBytesPerSec int64
	NoUpload            bool // no consent or a metered line: serves nobody
}

// Exit is a share of those present leaving at once.
type Exit struct {
	AtMs  int64
	Share float64
	Crash bool
}

// Seeders play nothing, want everything and stay.
type Seeders struct {
	Count             int
	UplinkBytesPerSec int64
}

// Network is what lies between two viewers.
type Network struct {
	OneWayMs          int64   // mean between two viewers
	OneWaySpread      float64 // as UplinkSpread; each viewer brings half of the delay
	ConnectRoundTrips int64   // ICE, DTLS and SCTP after the answer has come
	ConnectFailures   float64 // share of pairs that never connect
	PacketOverhead    int64   // bytes around each packet of a data channel
	CrashNoticeMs     int64   // until the others notice that somebody crashed
}

// CDN is as in package network.
type CDN struct {
	OneWayMs      int64
	ServerMs      int64
	BytesPerSec   int64
	PlaylistAgeMs int64 // how long the edge may go on serving a playlist: Cache-Control max-age
}

// Tracker is where it is and when it is not.
type Tracker struct {
	OneWayMs int64
	Outages  []Outage
}

// Outage is a time without a tracker. The one that comes back knows nothing.
type Outage struct{ FromMs, ToMs int64 }
