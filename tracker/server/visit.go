package server

import (
	"net/netip"
	"time"

	"slipstream/tracker/announce"
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
}

// handle takes a message from the client and returns what is to be done: one of Enter, announce.SignalTo,
// announce.Report, announce.Leave, or the error that ends the visit.
func (v *visit) handle(now time.Time, text bool, frame []byte) (event any, refusal *announce.Error) {
	if limits := &v.srv.cfg.Limits; !v.bucket.take(now, v.share(limits.MessageRate), v.share(limits.MessageBurst)) {
		return nil, says(announce.CodeRateLimited, "Too many messages; join again in a minute.")
	}
	if !text {
		return nil, says(announce.CodeMalformed, "Messages are text, this one was binary.")
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
	switch m.(type) {
	case announce.SignalTo, announce.Report, announce.Leave:
		return m, nil
	}
	return nil, says(announce.CodeMalformed, "A %s message is the tracker's to send.", m.Type())
}

func (v *visit) join(join announce.Join) (any, *announce.Error) {
	channel, refusal := v.srv.admit(join, v.webOrigin)
	if refusal != nil {
		return nil, refusal
	}
	v.joined, v.seeder = true, join.Role == announce.Seeder
	join.Token = ""
	isp, region := v.srv.cfg.Locator.Locate(v.addr)
	return Enter{Channel: channel, Join: join, Subnet: subnetKey(v.addr), ISP: isp, Region: region}, nil
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
