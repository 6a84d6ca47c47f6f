package server

import (
	"net/netip"
	"sync/atomic"
	"time"

	"slipstream/tracker/announce"
	"slipstream/tracker/token"
)

// visit is a client's side of the protocol, from its first message to its last: what it may say, when, and how often.
// It has no goroutine and no network; the transport hands it frames and carries out what it answers.
type visit struct {
	srv       *Server
	webOrigin string
	addr      netip.Addr
	bucket    bucket
	joined    bool
	seeder    bool

	stranger bool         // it counts among those who have shown no token
	pass     *pass        // of the token that it has shown
	seated   *token.Terms // whose viewer it counts as
	untilMs  atomic.Int64 // when the visit must be renewed; 0: it has not begun
	relayEnd time.Time    // when its credentials for the relay end; zero: it has none
}

// handle takes a message from the client and returns what is to be done: one of Enter, announce.SignalTo,
// announce.Report, announce.Leave, nil for nothing, or the error that ends the visit.
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
		return nil, v.renew(m)
	case announce.Report, announce.Leave:
		return m, nil
	}
	return nil, says(announce.CodeMalformed, "A %s message is the tracker's to send.", m.Type())
}

func (v *visit) join(join announce.Join) (any, *announce.Error) {
	p, refusal := v.srv.admission.admit(join, v.webOrigin, v.pass)
	if refusal != nil {
		return nil, refusal
	}
	v.joined, v.seeder = true, join.Role == announce.Seeder
	v.pass, v.seated = p, p.terms
	v.counted()
	join.Token = ""
	isp, region := v.srv.cfg.Locator.Locate(v.addr)
	return Enter{
		Channel: p.Channel, Join: join, Welcome: v.welcome(), Subnet: subnetKey(v.addr), ISP: isp, Region: region,
	}, nil
}

// welcome is what the client is told of the terms of its visit.
func (v *visit) welcome() (m announce.Welcome) {
	if ice := v.srv.cfg.ICE; ice != nil {
		m.ICEServers = []announce.ICEServer{ice.STUN()}
		if v.pass.Sharing == token.RelayOnly {
			m.RelayOnly = true
			m.ICEServers[0], v.relayEnd = ice.TURN()
		}
	}
	m.RenewMs = v.extend()
	return m
}

// extend lets the visit go on as its pass says, and returns for how many milliseconds.
func (v *visit) extend() int64 {
	until := v.srv.admission.lease(v.pass)
	if !v.relayEnd.IsZero() && v.relayEnd.Before(until) {
		until = v.relayEnd // new ones come with the next welcome
	}
	v.untilMs.Store(until.UnixMilli())
	return max(1, until.Sub(v.srv.cfg.Now()).Milliseconds())
}

func (v *visit) renew(m announce.Renew) *announce.Error {
	p, refusal := v.srv.admission.renew(v.pass, m.Token, v.webOrigin)
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
	if v.pass.fingerprint != "" && m.Signal.Kind != announce.Candidate && m.Signal.Fingerprint != v.pass.fingerprint {
		return nil, says(announce.CodeFingerprint, "This signal shows another certificate than the token is bound to.")
	}
	if v.pass.Sharing == token.RelayOnly {
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
	if v.seated != nil {
		v.srv.admission.standUp(v.seated)
		v.seated = nil
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

// bucket is a token bucket that starts full.
type bucket struct {
	spent  int64 // thousandths of a message
	fromMs int64
}

func (b *bucket) take(now time.Time, perSecond, burst int) bool {
	nowMs := now.UnixMilli()
	elapsed := max(nowMs-b.fromMs, 0)
	b.fromMs = nowMs
	if elapsed >= b.spent/int64(perSecond) {
		b.spent = 0
	} else {
		b.spent -= elapsed * int64(perSecond)
	}
	if b.spent+1000 > int64(burst)*1000 {
		return false
	}
	b.spent += 1000
	return true
}
