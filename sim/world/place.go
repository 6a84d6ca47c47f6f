package world

// placeOf is where a viewer is.
func (w *world) placeOf(number int64) int {
	return w.pick(number, drawPlace, len(w.cfg.Places), func(i int) float64 { return w.cfg.Places[i].Share })
}

// delayUs is one way between two viewers: what their places are apart, stretched by
// how far each is from everybody. Seeders are in the first place.
func (w *world) delayUs(a, b *viewer) int64 {
	oneWayMs := w.cfg.Network.OneWayMs
	if len(w.cfg.Places) > 0 {
		oneWayMs = w.cfg.Places[max(a.place, 0)].OneWayMs[max(b.place, 0)]
	}
	return int64(float64(oneWayMs*500) * (a.far + b.far))
}

// NATKind is how a viewer's router translates and filters, in the terms of RFC 4787
// (sections 4.1 and 5); RFC 5780 tells how a client finds out.
type NATKind uint8

const (
	// EndpointIndependent mapping and filtering, or no NAT at all.
	EndpointIndependent NATKind = iota
	// AddressDependent filtering, behind endpoint-independent mapping.
	AddressDependent
	// AddressAndPortDependent filtering, behind endpoint-independent mapping.
	AddressAndPortDependent
	// Symmetric: mapping and filtering are address and port-dependent.
	Symmetric
	// Blocked: no UDP at all.
	Blocked
)

func (w *world) natOf(number int64) NATKind {
	if len(w.cfg.NATs) == 0 {
		return EndpointIndependent
	}
	return w.cfg.NATs[w.pick(number, drawNAT, len(w.cfg.NATs), func(i int) float64 { return w.cfg.NATs[i].Share })].Kind
}

// connectable tells whether ICE with STUN and without a relay gets through. A
// symmetric NAT sends from a port that the other side cannot know: fine where the
// other's filter does not look at ports, hopeless where it does (RFC 5128 section
// 3.3.5; Ford, Srisuresh and Kegel 2005).
func connectable(a, b NATKind) bool {
	if a > b {
		a, b = b, a
	}
	return b != Blocked && (b != Symmetric || a < AddressAndPortDependent)
}
