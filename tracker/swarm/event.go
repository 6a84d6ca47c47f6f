package swarm

import "slipstream/tracker/announce"

// Event is one of Join, Leave, Report, Allow, Tick.
type Event interface{ event() }

// Join brings a viewer into a room, which is made if it does not exist. What a viewer says about itself is believed
// within bounds; where it is, the caller found out.
type Join struct {
	Room       string
	Viewer     uint64 // unique over all rooms, never 0, never used again
	Role       announce.Role
	Renditions []string // that it plays; an empty list for a seeder means all
	NoUpload   bool     // passes nothing on
	UplinkBps  int64    // as measured before; 0 = unknown
	NAT        announce.NAT

	// Equal for viewers that have the same; 0 = unknown.
	SubnetKey uint64 // /24 or /48: may well be one person
	ISPKey    uint64
	RegionKey uint64

	// Neighbours are those whom a viewer that moves here from another tracker's room knows already. Those who are here
	// are its neighbours again without another word; the others may be on their way.
	Neighbours []uint64
	CapBps     int64 // likewise, what it was told to upload at most
}

// Leave takes a viewer out of its room. One that moved to another tracker's room stays connected to its neighbours, who
// are not told, since they may be about to move too.
type Leave struct {
	Viewer uint64
	Moved  bool
}

// Report is what a viewer says about itself. Totals count since its playback began.
type Report struct {
	Viewer     uint64
	Ready      bool // it is connected to at least one neighbour
	NoUpload   bool // passes nothing on
	Neighbours int  // number of connected neighbours
	Renditions []string
	UplinkBps  int64  // measured uplink in bits per second; 0 = unknown
	MediaBytes int64  // total from CDN and neighbours
	Uploaded   int64  // total of bytes to neighbours
	Rescues    int64  // total of leaves from the CDN that were no duty although a neighbour was connected
	StallMs    int64  // total time of interruptions
	Dropped    []Drop // given up since the last report
	RTTs       []RTT  // measured since then
}

// RTT is the time of a round trip to a neighbour.
type RTT struct {
	Viewer uint64
	Ms     int64
}

// Drop is a neighbour that the reporter gave up.
type Drop struct {
	Viewer uint64
	Reason announce.Reason
}

// Allow bounds what each viewer of a channel may upload, as its operator wants it; 0 ends that. Seeders are the operator's own and are
// not bound. Of a channel in which nobody is it does not matter.
type Allow struct {
	Room      string
	UploadBps int64
}

// Tick lets time pass: viewers with too few neighbours are looked after, and how the rooms fare is looked at. One a
// second is right. Where there are thousands of viewers, and others wait meanwhile, it may come in Parts, of which each looks after
// its share of every room: Part is from 0 to Parts-1.
type Tick struct{ Part, Parts int }

func (Join) event()   {}
func (Leave) event()  {}
func (Report) event() {}
func (Allow) event()  {}
func (Tick) event()   {}

// Action is one of Introduce, Part, Gone, Duty, Cap, Expel.
type Action interface{ action() }

// Introduce makes two viewers neighbours: both are to be told, and A makes the offer.
type Introduce struct{ A, B uint64 }

// Part ends what Introduce began: both are to be told, and close their connection. Their places are for others.
type Part struct{ A, B uint64 }

// Gone tells Viewer that Neighbour left the room.
type Gone struct{ Viewer, Neighbour uint64 }

// Duty tells Viewer all the stripes that it fetches from the CDN. Duties is sorted by rendition and belongs to the
// receiver; empty means none.
type Duty struct {
	Viewer uint64
	Duties []announce.Share
}

// Cap tells Viewer to upload no more bits per second than that from now on; 0 = as much as it likes. Who has not been told may.
type Cap struct {
	Viewer    uint64
	UploadBps int64
}

// Expel ends a visit: the caller closes the connection, and says Leave when that is done.
type Expel struct{ Viewer uint64 }

func (Introduce) action() {}
func (Part) action()      {}
func (Gone) action()      {}
func (Duty) action()      {}
func (Cap) action()       {}
func (Expel) action()     {}
