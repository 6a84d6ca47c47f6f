package announce

import (
	"encoding/hex"
	"fmt"
)

// Version is the version of the protocol, carried in Join.
const Version = 1

// Subprotocol is what the tracker speaks, as a WebSocket's subprotocol. A client that shows its token before the socket
// opens names the token as a second one.
const Subprotocol = "slipstream"

// Limits of single messages; doc.go says what each is for.
const (
	// MaxMessage is the largest message in bytes; a server sets it as the WebSocket's read limit.
	MaxMessage = 16384
	// MaxInteger is the largest integer, the largest that JavaScript counts exactly.
	MaxInteger = 1<<53 - 1
	// MaxRenditions is the largest number of renditions in one list.
	MaxRenditions = 8
	// MaxRenditionName is the longest name of a rendition.
	MaxRenditionName = 32
	// MaxToken is the longest token.
	MaxToken = 2048
	// MaxICEServers is the largest number of STUN and TURN servers in a welcome, and of URLs of one.
	MaxICEServers = 4
	// MaxICEText is the longest URL, user name or credential of such a server.
	MaxICEText = 256
	// MaxText is the longest text in bytes.
	MaxText = 500
	// MaxNeighbours is the largest number of neighbours in a report.
	MaxNeighbours = 1024
	// MaxDropped is the largest number of dropped neighbours in a report.
	MaxDropped = 16
	// MaxRTTs is the largest number of round-trip times in a report.
	MaxRTTs = 16
	// MaxRTT is the longest round trip in milliseconds.
	MaxRTT = 60_000
	// MaxCap is the highest cap on uploads in bits per second.
	MaxCap = 1_000_000_000_000
	// MaxDuties is the largest number of renditions with duties.
	MaxDuties = 16
	// MaxCandidates is the largest number of candidates in a signal.
	MaxCandidates = 16
	// MaxCandidate is the longest candidate.
	MaxCandidate = 256
	// MinReportMs and MaxReportMs bound the interval of reports.
	MinReportMs, MaxReportMs = 500, 600_000
)

// Stripes is the number of stripes into which the pieces of every object are dealt (see Duty).
const Stripes = 16

// Message is one of Join, Renew, SignalTo, Report, Leave (from the viewer), Welcome, Neighbour, Gone, SignalFrom, Duty,
// Cap, Error (from the tracker).
type Message interface {
	// Type is the value of the member "type".
	Type() string
	check() error
}

// PeerID names a viewer in its room. 0 is nobody.
type PeerID uint64

// String is the id's text form, 16 lower-case hexadecimal digits.
func (id PeerID) String() string { return string(appendID(make([]byte, 0, 16), id)) }

// MarshalText is String.
func (id PeerID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// ParsePeerID reads the text form.
func ParsePeerID(s string) (PeerID, error) {
	var b [8]byte
	if len(s) != 16 || !only(s, hexDigits) {
		return 0, fmt.Errorf("is not 16 lower-case hexadecimal digits")
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return 0, err
	}
	id := PeerID(0)
	for _, x := range b {
		id = id<<8 | PeerID(x)
	}
	if id == 0 {
		return 0, fmt.Errorf("is 0, which names nobody")
	}
	return id, nil
}

// Role is what a client is in the swarm.
type Role string

// The roles. A seeder has no screen, plays every rendition, and carries more.
const (
	Viewer Role = "viewer"
	Seeder Role = "seeder"
)

// Join asks to enter the room of the token's channel.
type Join struct {
	Version    int64    `json:"version"`         // Version
	Token      string   `json:"token,omitempty"` // "" if it was shown before the socket opened
	Role       Role     `json:"role"`
	Renditions []string `json:"renditions"` // that it plays; seeders leave it empty
	NoUpload   bool     `json:"noUpload"`   // passes nothing on
	UplinkBps  int64    `json:"uplinkBps"`  // measured before, bits per second, 0 = unknown
	NAT        NAT      `json:"nat,omitempty"`
}

// NAT is how a viewer's address translator maps its addresses (RFC 4787 4.1).
type NAT string

// The kinds that matter to the tracker. Any other code means unknown.
const (
	UnknownNAT          NAT = ""
	EndpointIndependent NAT = "endpoint-independent" // or no translator at all
	AddressDependent    NAT = "address-dependent"    // or address and port: "symmetric"
)

// Renew brings a fresh token, so that the visit may go on.
type Renew struct {
	Token string `json:"token"`
}

// SignalTo asks the tracker to relay a signal.
type SignalTo struct {
	To     PeerID `json:"to"`
	Signal Signal `json:"signal"`
}

// Report tells how the viewer is doing. Totals count since playback began.
type Report struct {
	Ready         bool     `json:"ready"`      // at least one neighbour is connected
	NoUpload      bool     `json:"noUpload"`   // passes nothing on
	Neighbours    int64    `json:"neighbours"` // connected neighbours
	Renditions    []string `json:"renditions"`
	UplinkBps     int64    `json:"uplinkBps"` // bits per second, 0 = unknown
	HTTPBytes     int64    `json:"httpBytes"`
	P2PBytes      int64    `json:"p2pBytes"`
	UploadedBytes int64    `json:"uploadedBytes"`
	Stalls        int64    `json:"stalls"`
	StallMs       int64    `json:"stallMs"`
	LatencyMs     int64    `json:"latencyMs"`
	Rescues       int64    `json:"rescues"` // leaves
	Dropped       []Drop   `json:"dropped"` // since the last report, not a total
	RTTs          []RTT    `json:"rtts,omitempty"`
}

// RTT is the measured time of a round trip to a neighbour.
type RTT struct {
	ID PeerID `json:"id"`
	Ms int64  `json:"ms"`
}

// Drop is a neighbour that the viewer gave up.
type Drop struct {
	ID     PeerID `json:"id"`
	Reason Reason `json:"reason"`
}

// Reason says why a neighbour was given up.
type Reason string

// The reasons. A client may send others: they are no evidence, and keep the pair apart for long.
const (
	// Unreachable: no connection came about within 15 seconds.
	Unreachable Reason = "unreachable"
	// Lost: the connection died, and the tracker has not said that the neighbour is gone.
	Lost Reason = "lost"
	// Full: had more neighbours than wanted.
	Full Reason = "full"
	// Stalled: promised leaves and did not send them, which a bad line does as well.
	Stalled Reason = "stalled"
	// BadLeaf: sent bytes that the owner of the channel did not sign.
	BadLeaf Reason = "bad-leaf"
	// Liar: announced leaves that it did not have.
	Liar Reason = "liar"
	// Intruder: sent what nobody asked for.
	Intruder Reason = "intruder"
	// Greedy: kept asking beyond every bound.
	Greedy Reason = "greedy"
	// Protocol: sent a message that peer/PROTOCOL.md forbids.
	Protocol Reason = "protocol"
)

// Evidence tells whether the reason speaks against the neighbour itself, not against the line to it.
func (r Reason) Evidence() bool {
	switch r {
	case BadLeaf, Liar, Intruder, Greedy, Protocol:
		return true
	}
	return false
}

// Connectivity tells whether the reason is the line, so that another attempt later may succeed.
func (r Reason) Connectivity() bool { return r == Unreachable || r == Lost }

// Leave ends the visit.
type Leave struct{}

// Welcome answers Join.
type Welcome struct {
	ID       PeerID `json:"id"`       // the viewer's own
	ReportMs int64  `json:"reportMs"` // interval of reports
	Viewers  int64  `json:"viewers"`  // in the room, this one included

	RenewMs    int64       `json:"renewMs,omitempty"` // in which a Renew must come; 0 = no need
	ICEServers []ICEServer `json:"iceServers,omitempty"`
	RelayOnly  bool        `json:"relayOnly,omitempty"` // no candidates but relayed ones
}

// ICEServer is a STUN or TURN server, as in the browsers' RTCIceServer.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`   // TURN
	Credential string   `json:"credential,omitempty"` // TURN
}

// Neighbour introduces another viewer.
type Neighbour struct {
	ID    PeerID `json:"id"`
	Offer bool   `json:"offer"` // the receiver of this message makes the offer
}

// Gone says that a neighbour left the room, or that the two shall part.
type Gone struct {
	ID    PeerID `json:"id"`
	Close bool   `json:"close"` // it is still there, but its place and the receiver's are for others
}

// SignalFrom is a signal relayed from a neighbour.
type SignalFrom struct {
	From   PeerID `json:"from"`
	Signal Signal `json:"signal"`
}

// Duty lists the stripes that the viewer fetches from the CDN on behalf of all; it replaces every earlier Duty.
type Duty struct {
	Duties []Share `json:"duties"`
}

// Share is the duty for one rendition: bit i of Stripes is stripe i. A piece of an object of n pieces belongs to
// stripe (piece*16/n + sequence) mod 16.
type Share struct {
	Rendition string `json:"rendition"`
	Stripes   uint16 `json:"stripes"`
}

// Cap bounds what the viewer uploads, until the next Cap or Welcome.
type Cap struct {
	UploadBps int64 `json:"uploadBps"` // bits per second, 0 = none
}

// Error says why the tracker closes the connection.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"` // a sentence
}

// Error makes the message usable as a Go error.
func (m Error) Error() string { return m.Message }

// The codes of Error; doc.go says what a client does on each.
const (
	CodeMalformed    = "malformed"
	CodeVersion      = "version"
	CodeJoinFirst    = "join-first"
	CodeTokenExpired = "token-expired"
	CodeTokenInvalid = "token-invalid"
	CodeTokenOrigin  = "token-origin"
	CodeTokenChannel = "token-channel"
	CodeTokenRole    = "token-role"
	CodeTokenUsed    = "token-used"
	CodeFingerprint  = "fingerprint"
	CodeSharingOff   = "sharing-off"
	CodeQuotaFull    = "quota-full"
	CodeRoomFull     = "room-full"
	CodeTrackerFull  = "tracker-full"
	CodeRateLimited  = "rate-limited"
	CodeStranger     = "stranger"
	CodeExpelled     = "expelled"
	CodeShuttingDown = "shutting-down"
)

// The values of "type". SignalTo and SignalFrom share one: the direction tells them apart.
func (Join) Type() string       { return "join" }
func (Renew) Type() string      { return "renew" }
func (SignalTo) Type() string   { return "signal" }
func (Report) Type() string     { return "report" }
func (Leave) Type() string      { return "leave" }
func (Welcome) Type() string    { return "welcome" }
func (Neighbour) Type() string  { return "neighbour" }
func (Gone) Type() string       { return "gone" }
func (SignalFrom) Type() string { return "signal" }
func (Duty) Type() string       { return "duty" }
func (Cap) Type() string        { return "cap" }
func (Error) Type() string      { return "error" }
