package link

import "net/netip"

// NAT is how a host's router treats UDP, in the terms of RFC 4787. The translation
// is one to one in addresses: a host has its router's outer address itself, as if
// STUN had told it, so candidates need no STUN server here. What decides who can
// reach whom is imitated: which packets from outside pass (filtering, section 5),
// and whether the outer port is the same for every remote end (mapping, section 4.1).
type NAT uint8

const (
	// Open passes everything: a public address without a firewall.
	Open NAT = iota
	// EndpointIndependent filtering and mapping: once a port was used outward,
	// everybody may send to it ("full cone").
	EndpointIndependent
	// AddressDependent filtering: only addresses that the port has sent to.
	AddressDependent
	// AddressAndPortDependent filtering: only ends that the port has sent to. With its
	// endpoint-independent mapping the commonest router at home.
	AddressAndPortDependent
	// Symmetric: mapping and filtering depend on address and port. The outer port is
	// another for each remote end, so what STUN told is of no use to others.
	Symmetric
	// Blocked passes no UDP at all.
	Blocked
)

const (
	// mappingUs is how long a silent mapping lives (RFC 4787 REQ-5: two minutes or more).
	mappingUs = 120_000_000
	// maxMappings bounds a router's memory; a full one forgets what is silent and
	// then refuses new flows, as routers do.
	maxMappings = 4096
	// firstOuterPort is where a symmetric router begins to hand out ports.
	firstOuterPort = 40_000
)

// router is the state of one NAT.
type router struct {
	kind  NAT
	flows map[flow]mapping
	outer map[uint16]flow // of a symmetric router
	next  uint16
}

// flow is a port of the host and what of the remote end matters to this router.
type flow struct {
	port   uint16
	remote netip.AddrPort
}

type mapping struct {
	outer  uint16
	lastUs int64 // used outward (REQ-6)
}

func newRouter(kind NAT) router {
	return router{kind: kind, flows: map[flow]mapping{}, outer: map[uint16]flow{}, next: firstOuterPort}
}

// flow forgets what this router does not look at.
func (r *router) flow(port uint16, remote netip.AddrPort) flow {
	switch r.kind {
	case EndpointIndependent:
		remote = netip.AddrPort{}
	case AddressDependent:
		remote = netip.AddrPortFrom(remote.Addr(), 0)
	}
	return flow{port, remote}
}

// outbound is the port that a datagram to remote leaves with; false: no room.
func (r *router) outbound(nowUs int64, port uint16, remote netip.AddrPort) (uint16, bool) {
	if r.kind == Open {
		return port, true
	}
	f := r.flow(port, remote)
	m, known := r.flows[f]
	if known && nowUs-m.lastUs > mappingUs {
		r.forget(f)
		known = false
	}
	if !known {
		if len(r.flows) >= maxMappings {
			r.sweep(nowUs)
		}
		if len(r.flows) >= maxMappings {
			return 0, false
		}
		m.outer = port
		if r.kind == Symmetric {
			m.outer = r.unused()
			r.outer[m.outer] = f
		}
	}
	m.lastUs = nowUs
	r.flows[f] = m
	return m.outer, true
}

// inbound is the host's port for a datagram from remote to an outer port; false: filtered.
func (r *router) inbound(nowUs int64, outer uint16, remote netip.AddrPort) (uint16, bool) {
	switch r.kind {
	case Open:
		return outer, true
	case Symmetric:
		f, known := r.outer[outer]
		if !known || f.remote != remote || nowUs-r.flows[f].lastUs > mappingUs {
			return 0, false
		}
		return f.port, true
	}
	m, known := r.flows[r.flow(outer, remote)]
	return outer, known && nowUs-m.lastUs <= mappingUs
}

// unused is the next free outer port. There are always some: maxMappings is less
// than the ports from firstOuterPort on.
func (r *router) unused() uint16 {
	for {
		port := r.next
		if r.next++; r.next < firstOuterPort {
			r.next = firstOuterPort
		}
		if _, used := r.outer[port]; !used {
			return port
		}
	}
}

func (r *router) sweep(nowUs int64) {
	for f, m := range r.flows {
		if nowUs-m.lastUs > mappingUs {
			r.forget(f)
		}
	}
}

func (r *router) forget(f flow) {
	if r.kind == Symmetric {
		delete(r.outer, r.flows[f].outer)
	}
	delete(r.flows, f)
}
