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
	Watch          bool  // keep what Result.Watched and Result.Graph tell

	Stream         Stream
	Viewers        int
	ClusterViewers int     // the tracker splits a channel into clusters of at most so many; 0: never
	RoomOf         []int32 `json:",omitempty"` // of each viewer, its cluster, see WithRooms; nil: viewer i is in cluster i mod clusters
	Arrival        Arrival
	StayMs         int64   // mean of an exponential distribution; 0 here and in Stay: to the end
	Stay           Stay    // otherwise distributed
	Crashes        float64 // share of those whose time is over that go without a word
	CrashRate      float64 // crashes per viewer and minute, of those whose time is not over
	Replace        bool    // who goes is followed by another: the room stays as large
	NoUpload       float64 // share that serves nobody, whatever the line
	Classes        []Class
	Exits          []Exit
	Hostile        Hostile
	Seeders        Seeders
	Places         []Place // empty: all as far from each other as Network says
	NATs           []NAT   // empty: all can be reached
	Network        Network
	CDN            CDN
	Tracker        Tracker
	Scheduler      sched.Config // Seed and NoUpload are set per viewer
}

// Stream is what the origin publishes.
type Stream struct {
	BytesPerSec      int64
	SegmentMs        int64
	HoldBackSegments int   // a viewer starts so far behind the end of the playlist
	WindowSegments   int   // in the playlist
	PublishDelayMs   int64 // from the end of a segment to its being in the playlist
	// BlockingReload lets the edge hold a request until there is news (RFC 8216bis
	// 6.2.5.2). With it, what is called a segment here may be a part.
	BlockingReload bool
	// Gossip lets records travel from neighbour to neighbour, so that most need not poll. It needs BlockingReload.
	Gossip bool
	// RecordedSegments is the length of a recording; 0: the stream is live.
	RecordedSegments int
	AheadMs          int64 // how far ahead the player of a recording loads
	PositionsOverMs  int64 // viewers of a recording begin at places spread over so much of it
}

// Arrival says when viewers come. At most one of its times and rates is set; if
// none is, all come together.
type Arrival struct {
	OverMs    int64   // evenly over this time
	PerSecond float64 // as a Poisson process
	RampMs    int64   // at a rate that grows from nothing over this time
	FlashMs   int64   // at a rate that decays: this long after the first is the mean
	Visits    []Visit // as recorded; there are as many viewers as visits
}

// Visit is one line of a recorded trace.
type Visit struct {
	JoinMs int64
	StayMs int64 // 0: to the end
	Crash  bool
}

// Stay is how long viewers stay, if not for an exponentially distributed time.
type Stay struct {
	MedianMs int64   // of a log-normal distribution
	Spread   float64 // standard deviation of its logarithm
	FixedMs  int64
}

// Class is a kind of access line. A viewer belongs to the class in whose share
// its draw falls.
type Class struct {
	Share               float64 // of the viewers; all shares add up to 1
	UplinkBytesPerSec   int64   // mean
	UplinkSpread        float64 // standard deviation of its logarithm
	DownlinkBytesPerSec int64   // mean
	DownlinkSpread      float64 // as UplinkSpread
	NoUpload            bool    // no consent or a metered line: serves nobody
}

// Exit is a share of those present leaving at once.
type Exit struct {
	AtMs  int64
	Share float64
	Crash bool
}

// Hostile is a share of the viewers that do harm.
type Hostile struct {
	Share float64
	Kind  HostileKind
}

// Place is where a viewer is: a region, or a provider in a region, as region/provider.
type Place struct {
	Name     string
	Share    float64 // of the viewers; all shares add up to 1
	OneWayMs []int64 // to each place, this one included
}

// NAT is a kind of address translation that a share of the viewers is behind.
type NAT struct {
	Kind  NATKind
	Share float64 // all shares add up to 1
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
	ConnectFailures   float64 // share of pairs that never connect, whatever their NATs
	Loss              float64 // of packets between viewers
	PacketOverhead    int64   // bytes around each packet of a data channel
	CrashNoticeMs     int64   // until the others notice that somebody crashed
	JitterMs          int64   // at most so much is added to a packet's delay; emulation only
	QueueMs           int64   // how long a packet may wait for an access line; emulation only
}

// CDN is as in package network.
type CDN struct {
	OneWayMs      int64
	ServerMs      int64
	BytesPerSec   int64
	PlaylistAgeMs int64    // how long the edge may go on serving a playlist: Cache-Control max-age
	Errors        float64  // share of requests that are answered 503
	Outages       []Outage // when all are
	Slow          []Slow
}

// Slow is a time when the CDN is slower than usual.
type Slow struct {
	FromMs, ToMs int64
	ServerMs     int64
	BytesPerSec  int64 // of one response
}

// Tracker is where it is and when it is not.
type Tracker struct {
	OneWayMs int64
	Duties   bool // it deals them; else it only introduces
	Blind    bool `json:",omitempty"` // it does not know where viewers are
	Outages  []Outage
}

// Outage is a time without something. A tracker that comes back knows nothing.
type Outage struct{ FromMs, ToMs int64 }
