package webtorrent

// VisitLimits bound what one connection can do. Zero values mean the defaults in brackets.
type VisitLimits struct {
	Swarms       int   // announced at a time; who announces two peers in one swarm counts twice [64]
	MessageRate  int64 // messages a second [50]
	MessageBurst int64 // messages at once [500]
}

// SetDefaults puts the defaults where there is nothing.
func (l *VisitLimits) SetDefaults() {
	setDefault(&l.Swarms, 64)
	setDefault(&l.MessageRate, 50)
	setDefault(&l.MessageBurst, 500)
}

const (
	errRate       = Refusal("Too many messages; connect again in a minute.")
	errManySwarms = Refusal("Too many swarms on one connection; stop announcing some.")
)

// Membership is a peer that a connection announced. One connection may have several, and even several in one swarm:
// the torrents of a page share a WebSocket.
type Membership struct {
	InfoHash Hash
	PeerID   ID
}

// Visit is what the tracker knows of one connection.
type Visit struct {
	memberships []Membership
	spent       int64 // messages that were more than MessageRate allows, times 1000
	heardMs     int64 // when the last one came
	heard       bool
}

// Memberships are what the connection announced and did not stop.
func (v *Visit) Memberships() []Membership { return v.memberships }

// Heard tells whether any message came.
func (v *Visit) Heard() bool { return v.heard }

// Hear counts a message and says if it is one too many.
func (v *Visit) Hear(nowMs int64, l *VisitLimits) error {
	v.spent = max(0, v.spent-(nowMs-v.heardMs)*l.MessageRate) + 1000
	v.heardMs, v.heard = nowMs, true
	if v.spent > l.MessageBurst*1000 {
		return errRate
	}
	return nil
}

// Enter notes that the connection announces a peer, before Swarms.Announce is asked.
func (v *Visit) Enter(r *Request, l *VisitLimits) error {
	m := Membership{r.InfoHash, r.PeerID}
	for i := range v.memberships {
		if v.memberships[i] == m {
			return nil
		}
	}
	if r.Event == Stopped {
		return nil
	}
	if len(v.memberships) >= l.Swarms {
		return errManySwarms
	}
	v.memberships = append(v.memberships, m)
	return nil
}

// Exit notes that a peer has stopped, or was refused.
func (v *Visit) Exit(r *Request) {
	m := Membership{r.InfoHash, r.PeerID}
	for i := range v.memberships {
		if v.memberships[i] == m {
			last := len(v.memberships) - 1
			v.memberships[i] = v.memberships[last]
			v.memberships = v.memberships[:last]
			return
		}
	}
}
