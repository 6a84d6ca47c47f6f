package server

import (
	"math"
	"net/netip"
	"sync/atomic"
	"time"
	"unique"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// visit is a client's side of the protocol, from its first message to its last: what it may say, when, and how often.
// It has no goroutine and no network; the transport hands it frames and carries out what it answers.
type visit struct {
	srv       *Server
	webOrigin unique.Handle[string] // which most have alike; the zero handle is ""
	addr      [16]byte              // see address
	bucket    bucket
	joined    bool
	seeder    bool
	stranger  bool         // it counts among those who have shown no token
	seated    bool         // it counts as one of its key's viewers
	relayEnd  uint32       // when its credentials for the relay end, in Unix seconds; 0: it has none
	pass      pass         // of the token that it has shown
	untilMs   atomic.Int64 // when the visit must be renewed; 0: it has not begun
}

// address is the client's; the zero Addr if it is not known.
func (v *visit) address() netip.Addr {
	if v.addr == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(v.addr).Unmap()
}

func (v *visit) origin() string {
	if v.webOrigin == (unique.Handle[string]{}) {
		return ""
	}
	return v.webOrigin.Value()
}

// handle takes a message from the client and returns what is to be done: one of Enter, announce.SignalTo,
// announce.Report, announce.Leave, Token for one that was used to stay, nil for nothing, or the error that ends the visit.
func (v *visit) handle(now time.Time, text bool, frame []byte) (event any, refusal *announce.Error) {
	if limits := &v.srv.rules.Load().Limits; !v.bucket.take(now, v.share(limits.MessageRate), v.share(limits.MessageBurst)) {
		return nil, says(announce.CodeRateLimited, "Too many messages; join again in a minute.")
	}
	if !text {
		return nil, says(announce.CodeMalformed, "Messages are text, this one was binary.")
	}
	if refusal := v.overdue(now); refusal != nil {
		return nil, refusal
	}
	m, err := announce.Decode(frame)
	if err != nil {
		return nil, says(announce.CodeMalformed, "Malformed: %v.", err)
	}
	v.srv.metrics.messages.WithLabelValues(m.Type()).Inc()
	join, isJoin := m.(announce.Join)
	switch {
	case isJoin && v.joined:
		return nil, says(announce.CodeMalformed, "A second join on one connection is not allowed.")
	case isJoin:
		return v.join(join)
	case !v.joined:
		return nil, says(announce.CodeJoinFirst, "The first message must be join.")
	}
	switch m := m.(type) {
	case announce.SignalTo:
		return v.signal(m)
	case announce.Renew:
		if refusal := v.renew(m); refusal != nil {
			return nil, refusal
		}
		return v.pass.token(), nil
	case announce.Report, announce.Leave:
		return m, nil
	}
	return nil, says(announce.CodeMalformed, "A %s message is the tracker's to send.", m.Type())
}

func (v *visit) join(join announce.Join) (any, *announce.Error) {
	p, refusal := v.srv.admission.admit(join, v.origin(), v.pass)
	if refusal != nil {
		return nil, refusal
	}
	v.joined, v.seeder = true, join.Role == announce.Seeder
	v.pass, v.seated = p, true
	v.counted()
	join.Token = ""
	addr := v.address()
	isp, region := v.srv.cfg.Locator.Locate(addr)
	return Enter{
		Channel: p.grant.Value().channel, Join: join, Welcome: v.welcome(), Subnet: subnetKey(addr), ISP: isp, Region: region,
		Used: p.token(),
	}, nil
}

// welcome is what the client is told of the terms of its visit.
func (v *visit) welcome() (m announce.Welcome) {
	if ice := v.srv.cfg.ICE; ice != nil {
		m.ICEServers = []announce.ICEServer{ice.STUN()}
		if v.pass.grant.Value().sharing == token.RelayOnly {
			var end time.Time
			m.RelayOnly = true
			m.ICEServers[0], end = ice.TURN()
			v.relayEnd = uint32(end.Unix())
		}
	}
	m.RenewMs = v.extend()
	return m
}

// extend lets the visit go on as its pass says, and returns for how many milliseconds.
func (v *visit) extend() int64 {
	until := v.srv.admission.lease(v.pass)
	if end := time.Unix(int64(v.relayEnd), 0); v.relayEnd != 0 && end.Before(until) {
		until = end // new ones come with the next welcome
	}
	v.untilMs.Store(until.UnixMilli())
	return max(1, until.Sub(v.srv.cfg.Now()).Milliseconds())
}

func (v *visit) renew(m announce.Renew) *announce.Error {
	p, refusal := v.srv.admission.renew(v.pass, m.Token, v.origin())
	if refusal != nil {
		return refusal
	}
	v.pass = p
	v.extend()
	return nil
}

// overdue tells whether the visit should have been renewed by now. A transport asks it for those who are silent, from
// any goroutine.
func (v *visit) overdue(now time.Time) *announce.Error {
	if until := v.untilMs.Load(); until == 0 || now.UnixMilli() < until {
		return nil
	}
	return says(announce.CodeTokenExpired, "This visit was not renewed in time; join again with a fresh token.")
}

// signal holds a signal to what the pass allows.
func (v *visit) signal(m announce.SignalTo) (any, *announce.Error) {
	bound := v.pass.fingerprint != token.Fingerprint{}
	if bound && m.Signal.Kind != announce.Candidate && !v.pass.fingerprint.Is(m.Signal.Fingerprint) {
		return nil, says(announce.CodeFingerprint, "This signal shows another certificate than the token is bound to.")
	}
	if v.pass.grant.Value().sharing == token.RelayOnly {
		if m.Signal = relayedOnly(m.Signal, v.srv.cfg.ICE.Address().String()); m.Signal.Kind == announce.Candidate && m.Signal.Candidates == nil {
			return nil, nil
		}
	}
	return m, nil
}

// counted ends its being one of those who have shown no token.
func (v *visit) counted() {
	if v.stranger {
		v.stranger = false
		v.srv.admission.strangers.Add(-1)
	}
}

// over gives back what the visit was counted for.
func (v *visit) over() {
	v.counted()
	if v.seated {
		v.srv.admission.standUp(v.pass.grant.Value().terms)
		v.seated = false
	}
}

// share is a limit as it holds for this client.
func (v *visit) share(limit int) int {
	if v.seeder {
		return 4 * limit
	}
	return limit
}

// noJoin ends a visit that does not begin.
func noJoin() *announce.Error { return says(announce.CodeJoinFirst, "No join message came in time.") }

// bucket is a token bucket that starts full. There are two for each client, so it is small.
type bucket struct {
	spent  uint32 // thousandths of a message
	fromMs uint32 // the lower half
}

func (b *bucket) take(now time.Time, perSecond, burst int) bool {
	b.refill(now, perSecond)
	if int64(b.spent)+1000 > min(int64(burst)*1000, math.MaxUint32) {
		return false
	}
	b.spent += 1000
	return true
}

// owe takes more than there may be.
func (b *bucket) owe(now time.Time, messages, perSecond int) {
	b.refill(now, perSecond)
	b.spent = uint32(min(int64(b.spent)+1000*int64(messages), math.MaxUint32))
}

// full tells whether it is as good as new.
func (b *bucket) full(now time.Time, perSecond int) bool {
	b.refill(now, perSecond)
	return b.spent == 0
}

func (b *bucket) refill(now time.Time, perSecond int) {
	nowMs := uint32(now.UnixMilli())
	elapsedMs := int64(max(int32(nowMs-b.fromMs), 0))
	b.spent, b.fromMs = uint32(max(int64(b.spent)-elapsedMs*int64(perSecond), 0)), nowMs
}
