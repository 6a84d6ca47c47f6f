package rtc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
)

const (
	// MaxOffer is how many bytes an offer may have. Browsers' have about ten thousand.
	MaxOffer = 64 << 10
	// maxCandidates is how many addresses of a publisher are tried, of its offer and of what it adds later.
	maxCandidates = 64
	maxSections   = 8
)

// ErrMalformed is matched by what is wrong with an offer that makes no sense, as opposed to one that asks for what is not possible here.
var ErrMalformed = errors.New("the session description is malformed")

// An Offer is a session description (RFC 8866) that this side can answer.
type Offer struct {
	sdp        string
	sound      bool
	passive    bool   // the publisher waits for this side to begin DTLS
	ufrag      string // of its ICE session
	candidates int
}

// ReadOffer checks an offer: one picture in H.264, and one sound in Opus or none.
func ReadOffer(text []byte) (Offer, error) {
	if len(text) > MaxOffer {
		return Offer{}, fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, MaxOffer)
	}
	var s sdp.SessionDescription
	if err := s.Unmarshal(text); err != nil {
		return Offer{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	o := Offer{sdp: string(text)}
	o.ufrag, _ = s.Attribute("ice-ufrag")
	setup, _ := s.Attribute("setup")
	pictures, sounds := 0, 0
	if len(s.MediaDescriptions) > maxSections {
		return Offer{}, fmt.Errorf("the offer has %d media: offer one picture and one sound", len(s.MediaDescriptions))
	}
	for _, m := range s.MediaDescriptions {
		codec := ""
		switch m.MediaName.Media {
		case "video":
			pictures++
			codec = "H264/90000"
		case "audio":
			sounds++
			codec = "opus/48000/2"
		default:
			return Offer{}, fmt.Errorf("the offer has %.32q: offer one picture and one sound", m.MediaName.Media)
		}
		if !offers(m, codec) {
			return Offer{}, fmt.Errorf("the offer's %s is not possible as %s: publish H.264 and Opus", m.MediaName.Media, codec)
		}
		for _, a := range m.Attributes {
			switch a.Key {
			case "recvonly", "inactive":
				return Offer{}, fmt.Errorf("the offer's %s is %s: this address takes publishers only, watch over HTTP", m.MediaName.Media, a.Key)
			case "candidate":
				o.candidates++
			case "ice-ufrag":
				o.ufrag = a.Value // one for all: they are bundled
			case "setup":
				setup = a.Value
			}
		}
	}
	switch {
	case len(s.MediaDescriptions) == 0:
		return Offer{}, fmt.Errorf("%w: it has no media", ErrMalformed)
	case pictures != 1 || sounds > 1:
		return Offer{}, fmt.Errorf("the offer has %d pictures and %d sounds: offer one picture, and one sound or none", pictures, sounds)
	case o.candidates > maxCandidates:
		return Offer{}, fmt.Errorf("the offer has %d candidates: %d are enough", o.candidates, maxCandidates)
	}
	o.sound, o.passive = sounds == 1, setup == "passive"
	return o, nil
}

// offers reports whether a codec is among those of a medium.
func offers(m *sdp.MediaDescription, codec string) bool {
	for _, a := range m.Attributes {
		if a.Key == "rtpmap" {
			if _, name, _ := strings.Cut(a.Value, " "); strings.EqualFold(strings.TrimSpace(name), codec) {
				return true
			}
		}
	}
	return false
}

// A Fragment adds candidates to an ICE session (RFC 8840, application/trickle-ice-sdpfrag).
type Fragment struct {
	ufrag      string // "" if it does not say
	candidates []string
}

// ReadFragment reads what a publisher has found out about itself since its offer. Candidates that could not be used (other than UDP,
// names) are left out, as RFC 9725 wants it.
func ReadFragment(text []byte) (Fragment, error) {
	var f Fragment
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if value, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok {
			f.ufrag = value
		}
		value, ok := strings.CutPrefix(line, "a=candidate:")
		if !ok {
			continue
		}
		candidate, err := ice.UnmarshalCandidate(value)
		if err != nil {
			continue
		}
		if !candidate.NetworkType().IsUDP() || strings.HasSuffix(candidate.Address(), ".local") {
			continue
		}
		if f.candidates = append(f.candidates, "candidate:"+value); len(f.candidates) > maxCandidates {
			return Fragment{}, fmt.Errorf("more than %d candidates are not possible", maxCandidates)
		}
	}
	if f.ufrag == "" && len(f.candidates) == 0 && !strings.Contains(string(text), "a=end-of-candidates") {
		return Fragment{}, fmt.Errorf("%w: it has neither a candidate nor an ICE user name", ErrMalformed)
	}
	return f, nil
}
