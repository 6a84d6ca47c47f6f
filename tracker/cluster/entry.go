package cluster

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"slipstream/tracker/announce"
	"slipstream/tracker/server"
)

// A batch is what one node has to tell another: a CBOR sequence (RFC 8742) of the sender's id and then entries, in order.
// Nodes of a cluster trust each other, so the limits here are against bugs and half-written things.

// kind says what an entry is about.
type kind uint8

const (
	enters   kind = iota + 1 // to the owner: Body is a CBOR arrival
	signals                  // to the owner: Body is the client's announce message
	reports                  // likewise
	leaves                   // to the owner: its connection has ended
	moves                    // to the owner: it has its place elsewhere now
	delivers                 // to the edge: Body is the frame for the client, End as in server.Post
	spends                   // to the keeper of a token: Body is a CBOR spending
	again                    // to the edge: the client's token was used before
)

// entry is one thing that is told about one connection of an edge.
type entry struct {
	_    struct{} `cbor:",toarray"`
	Kind kind
	Conn server.ConnID
	End  string
	Body []byte
}

// arrival is a client that enters, without its token.
type arrival struct {
	_                   struct{} `cbor:",toarray"`
	Channel             string
	Join                announce.Join
	Subnet, ISP, Region uint64
	Resume              *resume
	Welcome             announce.Welcome
}

type resume struct {
	_      struct{} `cbor:",toarray"`
	ID     announce.PeerID
	Known  []announce.PeerID
	Report *announce.Report
	CapBps int64
}

const (
	// maxBatch is the most that is sent at once. NATS takes a mebibyte.
	maxBatch = 512 << 10
	// maxBody is far above a client's largest message.
	maxBody = 4 * announce.MaxMessage
	// maxNeighbours bounds what an edge remembers of a client; a seeder has a few hundred.
	maxNeighbours = 512
)

var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		MaxNestedLevels: 8, MaxArrayElements: 4096, MaxMapPairs: 256, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // only for options that contradict each other
	}
	return v
}

// encode cannot fail: all types are of this file.
func encode(v any) []byte { return must(encoding.Marshal(v)) }

// decodeBatch hands over the entries of a batch one by one. Body is valid until the next.
func decodeBatch(b []byte, each func(from server.NodeID, e entry)) error {
	var from server.NodeID
	rest, err := decoding.UnmarshalFirst(b, &from)
	if err != nil {
		return fmt.Errorf("a batch without a sender: %w", err)
	}
	for len(rest) > 0 {
		var e entry
		if rest, err = decoding.UnmarshalFirst(rest, &e); err != nil {
			return fmt.Errorf("a batch of node %x has a bad entry: %w", from, err)
		}
		if e.Kind < enters || e.Kind > again || len(e.Body) > maxBody {
			return fmt.Errorf("a batch of node %x has an entry of kind %d with %d bytes", from, e.Kind, len(e.Body))
		}
		each(from, e)
	}
	return nil
}

func (a arrival) enter() (server.Enter, error) {
	e := server.Enter{Channel: a.Channel, Join: a.Join, Subnet: a.Subnet, ISP: a.ISP, Region: a.Region, Welcome: a.Welcome}
	if a.Resume == nil {
		return e, nil
	}
	if a.Resume.ID == 0 || len(a.Resume.Known) > maxNeighbours || a.Resume.CapBps < 0 {
		return e, errors.New("a client that moves has no id, too many neighbours or a cap below nothing")
	}
	e.Resume = &server.Resume{ID: a.Resume.ID, Known: a.Resume.Known, Report: a.Resume.Report, CapBps: a.Resume.CapBps}
	return e, nil
}

func arrivalOf(e server.Enter) arrival {
	a := arrival{Channel: e.Channel, Join: e.Join, Subnet: e.Subnet, ISP: e.ISP, Region: e.Region, Welcome: e.Welcome}
	if e.Resume != nil {
		a.Resume = &resume{ID: e.Resume.ID, Known: e.Resume.Known, Report: e.Resume.Report, CapBps: e.Resume.CapBps}
	}
	return a
}
