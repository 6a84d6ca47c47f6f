package rtc

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"slipstream/tracker/announce"
)

// remote is what the other side has signalled so far.
type remote struct {
	mu         sync.Mutex
	ufrag      string // "" until the description is there
	candidates int    // used so far
}

// Signal takes a signal from the other side: the offer or the answer, whichever this side waits for, or candidates.
// Candidates that cannot be used are left out; candidates of another session (a connection that this one replaced) are
// ignored. It fails with an error that wraps ErrSignal if the signal is not one that this side waits for, which changes
// nothing, or if it is an offer or answer that cannot be used, which closes the connection with ErrViolation.
func (c *Conn) Signal(s announce.Signal) error {
	c.remote.mu.Lock()
	defer c.remote.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil // a late signal for a connection that is over
	}
	if s.Kind != announce.Candidate {
		if err := c.acceptDescription(s); err != nil {
			return err
		}
	}
	if s.Ufrag != c.remote.ufrag {
		return nil
	}
	for _, candidate := range s.Candidates {
		c.addCandidate(candidate)
	}
	return nil
}

// acceptDescription takes the offer or the answer. The caller holds remote.mu.
func (c *Conn) acceptDescription(s announce.Signal) error {
	expected := announce.Offer
	if c.offerer {
		expected = announce.Answer
	}
	if s.Kind != expected || c.remote.ufrag != "" {
		return fmt.Errorf("%w: an unexpected %s", ErrSignal, s.Kind)
	}
	err := c.useDescription(s)
	if err != nil {
		c.end(fmt.Errorf("%w: %w", ErrViolation, err))
	}
	return err
}

func (c *Conn) useDescription(s announce.Signal) error {
	d, err := sessionDescription(s)
	if err != nil {
		return err
	}
	if err := c.pc.SetRemoteDescription(d); err != nil {
		return fmt.Errorf("%w: %w", ErrSignal, err)
	}
	c.remote.ufrag = s.Ufrag
	if c.offerer {
		return nil
	}
	if err := c.describe(c.pc.CreateAnswer(nil)); err != nil {
		return fmt.Errorf("%w: %w", ErrSignal, err)
	}
	return nil
}

// addCandidate gives a candidate to ICE if it makes sense. The caller holds remote.mu.
func (c *Conn) addCandidate(text string) {
	if c.remote.candidates == maxCandidates {
		return
	}
	candidate, err := readCandidate(text)
	if err != nil {
		c.engine.log.Debug("a remote candidate is left out", "candidate", text, "error", err)
		return
	}
	c.remote.candidates++
	name := candidate.Address()
	if !isMulticastName(name) {
		c.useCandidate(text)
		return
	}
	c.begin(func() {
		address, err := c.engine.resolver.lookup(c.ctx, name)
		if err != nil || !usable(address) {
			c.engine.log.Debug("a neighbour's mDNS name is not resolved", "name", name, "error", err)
			return
		}
		c.useCandidate(strings.Replace(text, " "+name+" ", " "+address.String()+" ", 1))
	})
}

func (c *Conn) useCandidate(text string) {
	mid, line := "0", uint16(0)
	if err := c.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: text, SDPMid: &mid, SDPMLineIndex: &line}); err != nil {
		c.engine.log.Debug("a remote candidate is refused", "candidate", text, "error", err)
	}
}

// readCandidate parses a candidate from outside and refuses what ICE should not even try: what follows would be packets
// to an address that a stranger chose.
func readCandidate(text string) (ice.Candidate, error) {
	if !plain(text) {
		return nil, fmt.Errorf("it is empty, longer than %d bytes, or has control characters", maxValue)
	}
	candidate, err := ice.UnmarshalCandidate(text)
	if err != nil {
		return nil, err
	}
	if !candidate.NetworkType().IsUDP() || candidate.TCPType() != ice.TCPTypeUnspecified {
		return nil, fmt.Errorf("it is not for UDP")
	}
	if candidate.Component() != ice.ComponentRTP {
		return nil, fmt.Errorf("it is for component %d", candidate.Component())
	}
	if candidate.Port() == 0 {
		return nil, fmt.Errorf("it has no port")
	}
	if isMulticastName(candidate.Address()) && candidate.Type() == ice.CandidateTypeHost {
		return candidate, nil
	}
	address, err := netip.ParseAddr(candidate.Address())
	if err != nil {
		return nil, err
	}
	if !usable(address) {
		return nil, fmt.Errorf("nobody can be at %v", address)
	}
	return candidate, nil
}

// usable reports whether an address can be one neighbour. Loopback can: it may run on this machine.
func usable(address netip.Addr) bool {
	address = address.Unmap()
	return address.IsValid() && !address.IsUnspecified() && !address.IsMulticast() && address != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// isMulticastName recognises the names that browsers make up for their addresses: a UUID in the domain local. Any other
// name is none of ICE's business.
func isMulticastName(name string) bool {
	id, ok := strings.CutSuffix(name, ".local")
	if !ok || len(id) != 36 {
		return false
	}
	for i := range len(id) {
		hex := id[i] >= '0' && id[i] <= '9' || id[i] >= 'a' && id[i] <= 'f'
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (id[i] == '-') || !dash && !hex {
			return false
		}
	}
	return true
}
