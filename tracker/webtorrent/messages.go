package webtorrent

// What a message may hold. The transport enforces MaxMessage, Decode the rest.
const (
	MaxMessage     = 64 << 10 // bytes of a message
	MaxOffers      = 16       // offers of an announce that are relayed; more are ignored (bittorrent-tracker's client makes 5)
	MaxDescription = 16 << 10 // bytes of an offer or answer
	MaxScrape      = 64       // info hashes of a scrape
	maxDepth       = 16       // of JSON within JSON
)

// Hash is a swarm's name, ID that of a peer or of an offer: 20 bytes that travel as 20 characters from U+0000 to U+00FF.
type (
	Hash [20]byte
	ID   [20]byte
)

// Action is what a client asks for.
type Action uint8

// Actions.
const (
	Announce Action = iota + 1
	Scrape
)

// Event is why a client announces itself.
type Event uint8

// Events.
const (
	Update Event = iota // also when there is none, or "empty"
	Started
	Stopped
	Completed
	Paused // "partial seed" (BEP 21); counts as an update
)

// Offer is half of a WebRTC connection, for whichever peer the tracker chooses.
type Offer struct {
	ID          ID
	Description []byte // a JSON object, as it came
}

// Request is a message from a client. Its slices point into the message that was decoded.
type Request struct {
	Action   Action
	InfoHash Hash // the announced swarm

	Event  Event
	PeerID ID
	Seeder bool    // nothing is left to be fetched
	Offers []Offer // at most MaxOffers

	Answer   []byte // a JSON object, as it came; nil if there is none
	ToPeerID ID     // with an answer: who made the offer
	OfferID  ID     // with an answer: which one

	InfoHashes []Hash // to be scraped, at most MaxScrape
}

// Counts are what the tracker tells of a swarm.
type Counts struct {
	Complete   int // seeders
	Incomplete int
	Downloaded int // peers that completed while the tracker knew the swarm, at least Complete
}

// Client is the program that a peer id names in the usual way ("-WW0200-…": two letters and four digits), "unknown" if
// it does not.
func (id ID) Client() (name, version string) {
	if id[0] != '-' || id[7] != '-' {
		return "unknown", ""
	}
	for _, c := range id[1:7] {
		if c-'0' > 9 && c|0x20-'a' > 'z'-'a' {
			return "unknown", ""
		}
	}
	name = string(id[1:3])
	if known := clients[name]; known != "" {
		name = known
	}
	return name, string(id[3:7])
}

// clients are the names of those that speak WebTorrent.
var clients = map[string]string{"WW": "WebTorrent", "WD": "WebTorrent Desktop", "LT": "libtorrent", "BI": "BiglyBT", "TR": "Transmission", "PM": "p2p-media-loader"}
