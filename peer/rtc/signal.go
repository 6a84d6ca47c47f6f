package rtc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"slipstream/tracker/announce"
)

// This file turns session descriptions into signals and back. Only five values differ between two of our session
// descriptions; the rest is the template below, which is what tracker/announce specifies and what Chromium, Firefox and
// pion accept. The order of lines is that of RFC 8866.
const template = "v=0\r\n" +
	"o=- 1 2 IN IP4 127.0.0.1\r\n" +
	"s=-\r\n" +
	"t=0 0\r\n" +
	"a=group:BUNDLE 0\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" +
	"c=IN IP4 0.0.0.0\r\n" +
	"a=ice-ufrag:%s\r\n" +
	"a=ice-pwd:%s\r\n" +
	"a=ice-options:trickle\r\n" +
	"a=fingerprint:%s\r\n" +
	"a=setup:%s\r\n" +
	"a=mid:0\r\n" +
	"a=sctp-port:5000\r\n" +
	"a=max-message-size:262144\r\n"

const (
	// firstBatch is how long an offer or answer waits for the first candidates, to save messages.
	firstBatch = 20 * time.Millisecond
	// nextBatch is how long later candidates wait for more.
	nextBatch = 50 * time.Millisecond
	// maxCandidates is how many candidates of each side are used: two batches.
	maxCandidates = 2 * announce.MaxCandidates
	// maxValue is the longest value of a signal that is looked at, in bytes.
	maxValue = 256
)

// ErrSignal is wrapped by the errors of Conn.Signal.
var ErrSignal = errors.New("the neighbour's signal cannot be used")

// sessionDescription fills the template from an offer or answer.
func sessionDescription(s announce.Signal) (webrtc.SessionDescription, error) {
	for _, value := range []string{s.Ufrag, s.Pwd, s.Fingerprint, s.Setup} {
		if !plain(value) {
			return webrtc.SessionDescription{}, fmt.Errorf("%w: a value is missing, too long, or has control characters", ErrSignal)
		}
	}
	kind := webrtc.SDPTypeOffer
	if s.Kind == announce.Answer {
		kind = webrtc.SDPTypeAnswer
	}
	return webrtc.SessionDescription{
		Type: kind,
		SDP:  fmt.Sprintf(template, s.Ufrag, s.Pwd, s.Fingerprint, s.Setup),
	}, nil
}

// plain reports whether a value is printable ASCII of acceptable length: it cannot end its line. tracker/announce checks
// more closely; this is the last line of defence.
func plain(value string) bool {
	return value != "" && len(value) <= maxValue && strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// newSignal takes the values out of one of pion's session descriptions.
func newSignal(d webrtc.SessionDescription) (announce.Signal, error) {
	var parsed sdp.SessionDescription
	if err := parsed.UnmarshalString(d.SDP); err != nil {
		return announce.Signal{}, fmt.Errorf("our own session description cannot be read: %w", err)
	}
	if len(parsed.MediaDescriptions) != 1 {
		return announce.Signal{}, fmt.Errorf("our own session description has %d media sections, want 1", len(parsed.MediaDescriptions))
	}
	attribute := func(name string) string {
		if value, ok := parsed.MediaDescriptions[0].Attribute(name); ok {
			return value
		}
		value, _ := parsed.Attribute(name)
		return value
	}
	s := announce.Signal{
		Kind:        announce.Offer,
		Ufrag:       attribute("ice-ufrag"),
		Pwd:         attribute("ice-pwd"),
		Fingerprint: attribute("fingerprint"),
		Setup:       attribute("setup"),
		Candidates:  []string{},
	}
	if d.Type == webrtc.SDPTypeAnswer {
		s.Kind = announce.Answer
	}
	return s, nil
}

// describe makes our offer or answer the local description, which starts the search for candidates, and queues it for
// the other side.
func (c *Conn) describe(d webrtc.SessionDescription, err error) error {
	if err != nil {
		return fmt.Errorf("a session description cannot be made: %w", err)
	}
	s, err := newSignal(d)
	if err != nil {
		return err
	}
	if err := c.pc.SetLocalDescription(d); err != nil {
		return fmt.Errorf("our own session description cannot be used: %w", err)
	}
	c.signals.begin(s)
	return nil
}

// signal hands one signal to the handler.
func (c *Conn) signal(s announce.Signal) {
	c.deliver(func() {
		if c.handlers.OnSignal != nil {
			c.handlers.OnSignal(s)
		}
	})
}

// onCandidate queues a local candidate; nil means that there are no more.
func (c *Conn) onCandidate(candidate *webrtc.ICECandidate) {
	if candidate == nil {
		c.signals.complete()
		return
	}
	text := candidate.ToJSON().Candidate
	if candidate.Protocol != webrtc.ICEProtocolUDP || len(text) > announce.MaxCandidate {
		return
	}
	c.signals.add(text)
}

// outbox batches what goes to the other side: the description with the candidates that are found at once, then later
// candidates, few messages in all.
type outbox struct {
	send func(announce.Signal)

	mu         sync.Mutex
	sending    sync.Mutex      // keeps batches in order; taken before mu
	next       announce.Signal // what goes out with the next batch
	begun      bool
	all        bool // no more candidates will come
	stopped    bool
	timer      *time.Timer
	candidates int // seen so far
}

// begin sets the description, which goes out with the first batch.
func (o *outbox) begin(description announce.Signal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	description.Candidates = append(description.Candidates, o.next.Candidates...)
	o.next, o.begun = description, true
	if o.all {
		o.schedule(0)
	}
	o.schedule(firstBatch)
}

// complete says that the last candidate was added: nothing is gained by waiting.
func (o *outbox) complete() {
	o.mu.Lock()
	o.all = true
	o.mu.Unlock()
	o.flush()
}

func (o *outbox) add(candidate string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.candidates == maxCandidates {
		return
	}
	o.candidates++
	o.next.Candidates = append(o.next.Candidates, candidate)
	o.schedule(nextBatch)
}

// schedule starts the timer for the next batch, unless it runs. The caller holds mu.
func (o *outbox) schedule(wait time.Duration) {
	if o.begun && !o.stopped && o.timer == nil {
		o.timer = time.AfterFunc(wait, o.flush)
	}
}

func (o *outbox) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
	if o.timer != nil {
		o.timer.Stop()
	}
}

// flush sends what has gathered.
func (o *outbox) flush() {
	o.sending.Lock()
	defer o.sending.Unlock()
	for {
		s, ok := o.take()
		if !ok {
			return
		}
		o.send(s)
	}
}

// take removes one signal's worth from what has gathered.
func (o *outbox) take() (announce.Signal, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	s := o.next
	if !o.begun || o.stopped || s.Kind == announce.Candidate && len(s.Candidates) == 0 {
		return s, false
	}
	n := min(len(s.Candidates), announce.MaxCandidates)
	o.next = announce.Signal{Kind: announce.Candidate, Ufrag: s.Ufrag, Candidates: s.Candidates[n:]}
	s.Candidates = s.Candidates[:n:n]
	return s, true
}
