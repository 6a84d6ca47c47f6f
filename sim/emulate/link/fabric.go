package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"slipstream/sim/draw"
)

// Config is the network.
type Config struct {
	Hosts    []Host
	DelayUs  func(from, to int) int64 // one way, without waiting in queues
	JitterUs int64                    // at most so much is added to a packet's delay; packets of a pair stay in order
	Loss     float64                  // of packets between two hosts, each way, in [0, 1]
	Severed  func(from, to int) bool  // pairs whose UDP never arrives; nil: none
	Seed     uint64
}

// Host is a machine with one address.
type Host struct {
	Addr     netip.Addr
	Up, Down Line
	NAT      NAT
}

// Counts of packets that a host sent or was to receive, and of bytes that went
// through its line. They only grow.
type Counts struct {
	SentPackets     int64 `json:"sentPackets"`
	ReceivedPackets int64 `json:"receivedPackets"`
	SentBytes       int64 `json:"sentBytes"`     // through the uplink
	ReceivedBytes   int64 `json:"receivedBytes"` // through the downlink
	UpDropped       int64 `json:"upDropped"`     // its queue to the uplink was full
	DownDropped     int64 `json:"downDropped"`   // likewise
	Lost            int64 `json:"lost"`          // of those it sent
	Filtered        int64 `json:"filtered"`      // its NAT, or a severed pair, kept them out
	Unroutable      int64 `json:"unroutable"`    // it sent to nobody
}

// Purposes of draws.
const (
	drawLoss draw.Purpose = iota + 1
	drawJitter
)

// maxInFlight bounds the packets on their way, and so the memory: 90 MB of full ones.
const maxInFlight = 1 << 16

// Fabric carries packets between hosts.
type Fabric struct {
	cfg     Config
	draw    draw.Source
	byAddr  map[netip.Addr]int
	hosts   []host
	lastUs  []int64 // by from·n + to: when the pair's last packet came out of the delay
	flights []int64 // likewise: how many went in, for the draws
	events  queue
	free    [][]byte
}

type host struct {
	Host
	router router
	counts Counts
}

// New returns a network in which nothing is on its way.
func New(cfg Config) (*Fabric, error) {
	n := len(cfg.Hosts)
	f := &Fabric{cfg: cfg, draw: draw.New(cfg.Seed), byAddr: make(map[netip.Addr]int, n), lastUs: make([]int64, n*n), flights: make([]int64, n*n)}
	for i, h := range cfg.Hosts {
		if _, twice := f.byAddr[h.Addr]; twice || !h.Addr.Is4() {
			return nil, fmt.Errorf("the address %v is given twice or is not IPv4", h.Addr)
		}
		f.byAddr[h.Addr] = i
		f.hosts = append(f.hosts, host{Host: h, router: newRouter(h.NAT)})
	}
	return f, nil
}

// Accept takes a packet that a host sends; it is copied. What is not IPv4, or goes
// to nobody, ends here. Multicast goes to all others (mDNS finds its neighbours).
func (f *Fabric) Accept(nowUs int64, from int, data []byte) {
	p, h := packet(data), &f.hosts[from]
	if !p.valid() || p.source() != h.Addr {
		h.counts.Unroutable++
		return
	}
	to, known := f.byAddr[p.destination()]
	multicast := p.destination().IsMulticast()
	if !multicast && (!known || to == from) {
		h.counts.Unroutable++
		return
	}
	h.counts.SentPackets++
	endUs, ok := h.Up.Send(nowUs, int64(len(p)))
	if !ok || len(f.events.items) >= maxInFlight {
		h.counts.UpDropped++
		return
	}
	h.counts.SentBytes += int64(len(p))
	if !multicast {
		f.fly(nowUs, endUs, from, to, p)
		return
	}
	for to := range f.hosts {
		if to != from && len(f.events.items) < maxInFlight {
			f.fly(nowUs, endUs, from, to, p)
		}
	}
}

// fly is the way from the end of an uplink to the beginning of a downlink.
func (f *Fabric) fly(nowUs, leftUs int64, from, to int, p packet) {
	h, pair := &f.hosts[from], from*len(f.hosts)+to
	data := append(f.buffer(), p...)
	if !f.translate(nowUs, from, to, data) {
		h.counts.Filtered++
		f.recycle(data)
		return
	}
	n := f.flights[pair]
	f.flights[pair]++
	if f.cfg.Loss > 0 && f.draw.Unit(int64(pair), drawLoss, n) < f.cfg.Loss {
		h.counts.Lost++
		f.recycle(data)
		return
	}
	atUs := leftUs + f.cfg.DelayUs(from, to) + f.draw.Below(f.cfg.JitterUs+1, int64(pair), drawJitter, n)
	atUs = max(atUs, f.lastUs[pair])
	f.lastUs[pair] = atUs
	f.events.push(event{atUs: atUs, from: int32(from), to: int32(to), data: data})
}

// translate is the sender's router.
func (f *Fabric) translate(nowUs int64, from, to int, p packet) bool {
	if !p.isUDP() || p.destination().IsMulticast() {
		return true
	}
	if f.cfg.Severed != nil && f.cfg.Severed(from, to) {
		return false
	}
	h := &f.hosts[from]
	switch h.NAT {
	case Open:
		return true
	case Blocked:
		return false
	}
	d := p.datagram()
	if d == nil {
		return false // routers cannot translate what they see only a part of
	}
	remote := netip.AddrPortFrom(p.destination(), binary.BigEndian.Uint16(d[2:]))
	outer, ok := h.router.outbound(nowUs, binary.BigEndian.Uint16(d), remote)
	if ok {
		rewrite(d, 0, outer)
	}
	return ok
}

// filter is the receiver's router.
func (f *Fabric) filter(nowUs int64, to int, p packet) bool {
	h := &f.hosts[to]
	if h.NAT == Open || !p.isUDP() || p.destination().IsMulticast() {
		return true
	}
	d := p.datagram()
	if d == nil || h.NAT == Blocked {
		return false
	}
	remote := netip.AddrPortFrom(p.source(), binary.BigEndian.Uint16(d))
	port, ok := h.router.inbound(nowUs, binary.BigEndian.Uint16(d[2:]), remote)
	if ok {
		rewrite(d, 2, port)
	}
	return ok
}

// NextUs is when Advance has something to do; false: nothing is on its way.
func (f *Fabric) NextUs() (atUs int64, ok bool) {
	if len(f.events.items) == 0 {
		return 0, false
	}
	return f.events.items[0].atUs, true
}

// Advance brings everything forward to nowUs. deliver is given each packet that has
// arrived and when it was due; it must not keep the bytes.
func (f *Fabric) Advance(nowUs int64, deliver func(to int, dueUs int64, data []byte)) {
	for len(f.events.items) > 0 && f.events.items[0].atUs <= nowUs {
		e := f.events.pop()
		h := &f.hosts[e.to]
		if !e.through {
			// Late is no excuse: what happens at atUs is reckoned from atUs.
			if !f.filter(e.atUs, int(e.to), e.data) {
				h.counts.Filtered++
				f.recycle(e.data)
				continue
			}
			endUs, ok := h.Down.Send(e.atUs, int64(len(e.data)))
			if !ok {
				h.counts.DownDropped++
				f.recycle(e.data)
				continue
			}
			if endUs > e.atUs {
				e.atUs, e.through = endUs, true
				f.events.push(e)
				continue
			}
		}
		h.counts.ReceivedPackets++
		h.counts.ReceivedBytes += int64(len(e.data))
		deliver(int(e.to), e.atUs, e.data)
		f.recycle(e.data)
	}
}

// Counts tells what a host sent and received so far.
func (f *Fabric) Counts(host int) Counts { return f.hosts[host].counts }

func (f *Fabric) buffer() []byte {
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free = f.free[:n-1]
		return b[:0]
	}
	return make([]byte, 0, MTU)
}

func (f *Fabric) recycle(b []byte) {
	if len(f.free) < 4096 {
		f.free = append(f.free, b)
	}
}
