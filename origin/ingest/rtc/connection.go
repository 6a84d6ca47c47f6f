package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	// queueSize is how many packets may wait for Receive; beyond, they are dropped as if the network had lost them.
	queueSize = 2048
	// soundWait is how long pictures wait at first for the sound that was offered: both begin at about the same time.
	soundWait = 500 * time.Millisecond
	// retransmission is how long a packet of the picture waits for one before it, which is asked for again; reordering is
	// likewise for sound, which is not.
	retransmission = 300 * time.Millisecond
	reordering     = 60 * time.Millisecond
	maxSound       = 1500 // bytes of an Opus packet
	// mostFailures in a row mean that a stream has ended; single ones are packets that make no sense.
	mostFailures = 100
)

// A Receiver takes what a publisher sends. Its methods are called by one goroutine.
type Receiver interface {
	// SoundBegins is called once, before the first sound. Pictures wait a moment for it.
	SoundBegins() error
	// Picture takes an access unit, NAL units without start codes, that arrived at a time. waiting says that nothing can be made of
	// it without a key frame, which is then asked for.
	Picture(pts time.Duration, units [][]byte, at time.Time) (waiting bool, err error)
	// Sound takes an Opus packet.
	Sound(pts time.Duration, packet []byte) error
}

// Connection is a publisher's.
type Connection struct {
	pc    *webrtc.PeerConnection
	offer Offer
	queue chan arrival
	ended chan struct{}
	end   func() // closes ended, once

	mu       sync.Mutex
	streams  [2]webrtc.SSRC // of picture and sound; 0: none so far
	trickled int            // candidates that were added
}

// Kinds of streams.
const (
	pictures = iota
	sounds
)

// An arrival is a packet of a stream, or, without one, a sender report.
type arrival struct {
	stream int
	at     time.Time
	packet *rtp.Packet
	ntp    uint64
	rtp    uint32
}

func newConnection(pc *webrtc.PeerConnection, offer Offer) *Connection {
	c := &Connection{pc: pc, offer: offer, queue: make(chan arrival, queueSize), ended: make(chan struct{})}
	c.end = sync.OnceFunc(func() { close(c.ended) })
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateFailed || state == webrtc.PeerConnectionStateClosed {
			c.end()
		}
	})
	pc.OnTrack(c.track)
	return c
}

// track reads one stream. pion calls it in a goroutine for each; reading fails for ever once the connection is closed.
func (c *Connection) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	stream := pictures
	if track.Kind() == webrtc.RTPCodecTypeAudio {
		stream = sounds
	}
	c.mu.Lock()
	first := c.streams[stream] == 0
	if first {
		c.streams[stream] = track.SSRC()
	}
	c.mu.Unlock()
	if !first { // such as other layers of simulcast; pion drops what nobody reads
		return
	}
	var reports sync.WaitGroup
	defer reports.Wait()
	reports.Go(func() { c.readReports(stream, track.SSRC(), receiver) })
	for failures := 0; failures < mostFailures; failures++ {
		p, _, err := track.ReadRTP()
		if err != nil {
			continue
		}
		failures = 0
		c.put(arrival{stream: stream, at: time.Now(), packet: p})
	}
}

func (c *Connection) readReports(stream int, of webrtc.SSRC, receiver *webrtc.RTPReceiver) {
	for failures := 0; failures < mostFailures; failures++ {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			continue
		}
		failures = 0
		for _, p := range packets {
			if r, ok := p.(*rtcp.SenderReport); ok && r.SSRC == uint32(of) {
				c.put(arrival{stream: stream, at: time.Now(), ntp: r.NTPTime, rtp: r.RTPTime})
			}
		}
	}
}

func (c *Connection) put(a arrival) {
	select {
	case c.queue <- a:
	default:
	}
}

// Trickle adds candidates of the publisher.
func (c *Connection) Trickle(f Fragment) error {
	if f.ufrag != "" && f.ufrag != c.offer.ufrag {
		return errors.New("ICE cannot be started anew here: end this session and begin another")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trickled += len(f.candidates); c.offer.candidates+c.trickled > maxCandidates {
		return fmt.Errorf("more than %d candidates are not possible", maxCandidates)
	}
	line := uint16(0)
	for _, text := range f.candidates {
		if err := c.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: text, SDPMLineIndex: &line}); err != nil {
			return fmt.Errorf("a candidate cannot be used: %w", err)
		}
	}
	return nil
}

// Close ends the connection, and returns when nothing of it is left.
func (c *Connection) Close() error { return c.pc.GracefulClose() }

// Receive hands over what arrives until the connection ends (io.EOF), the context ends (its cause), or the publisher breaks a rule.
func (c *Connection) Receive(ctx context.Context, to Receiver) error {
	d := newDistributor(c.offer.sound, to)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ended:
			return io.EOF
		case a := <-c.queue:
			ask, err := d.take(a)
			if err != nil {
				return err
			}
			if ask {
				c.askKeyframe()
			}
		}
	}
}

func (c *Connection) askKeyframe() {
	c.mu.Lock()
	stream := uint32(c.streams[pictures])
	c.mu.Unlock()
	// If it is lost or the connection is not there any more, the next one will do or the end is near.
	_ = c.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: stream}})
}
