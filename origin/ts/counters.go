package ts

import (
	"errors"
	"fmt"
)

const (
	packetSize = 188
	pidPAT     = 0
	pidPMT     = 0x1000 // where the library puts it
	// stride is how many packets bring a continuity counter back to where it was.
	stride = 16
)

// errPackets says that what the library wrote is not what we take it for.
var errPackets = errors.New("the transport stream does not consist of packets")

// packet is one packet of a transport stream (ISO/IEC 13818-1, 2.4.3.2).
type packet []byte

func (p packet) pid() int         { return int(p[1]&0x1f)<<8 | int(p[2]) }
func (p packet) begins() bool     { return p[1]&0x40 != 0 } // a PES packet or a table
func (p packet) hasPayload() bool { return p[3]&0x10 != 0 }

// payload is what follows the header and the adaptation field; nil where the packet makes no sense.
func (p packet) payload() []byte {
	at := 4
	if p[3]&0x20 != 0 {
		at += 1 + int(p[4])
	}
	if !p.hasPayload() || at > packetSize {
		return nil
	}
	return p[at:]
}

// room is how many bytes of the payload can go to packets of their own: a PES header stays whole, with a byte behind it, because not every
// player can put one together.
func (p packet) room() int {
	payload := p.payload()
	keep := 1
	if p.begins() {
		if len(payload) < 9 {
			return 0
		}
		keep = 9 + int(payload[8]) + 1
	}
	return max(0, len(payload)-keep)
}

// closeCounters leaves one PAT and one PMT, and gives every other PID a multiple of sixteen packets, all counted from 0, so that the segment
// that follows can begin at 0 as well.
func closeCounters(stream []byte, number int64) ([]byte, error) {
	if len(stream)%packetSize != 0 {
		return nil, errPackets
	}
	missing := make(map[int]int) // packets of each PID, to the next multiple of sixteen
	for at := 0; at < len(stream); at += packetSize {
		p := packet(stream[at : at+packetSize])
		if p[0] != 0x47 || p.hasPayload() && p.payload() == nil {
			return nil, errPackets
		}
		if p.hasPayload() && p.pid() != pidPAT && p.pid() != pidPMT {
			missing[p.pid()] = (missing[p.pid()] + stride - 1) % stride
		}
	}
	out := make([]byte, 0, len(stream)+2*stride*packetSize)
	next := make(map[int]byte) // continuity counters
	tables := make(map[int]bool)
	put := func(p packet) {
		out = append(out, p...)
		counter := &out[len(out)-packetSize+3]
		*counter = *counter&0xf0 | next[p.pid()]
		next[p.pid()] = (next[p.pid()] + 1) % stride
	}
	for at := 0; at < len(stream); at += packetSize {
		p := packet(stream[at : at+packetSize])
		pid := p.pid()
		if pid == pidPAT || pid == pidPMT {
			if !tables[pid] {
				tables[pid], next[pid] = true, byte(number%stride)
				put(p)
			}
			continue
		}
		more := min(missing[pid], p.room())
		missing[pid] -= more
		for _, piece := range spread(p, more) {
			put(piece)
		}
	}
	for pid, n := range missing {
		if n != 0 {
			return nil, fmt.Errorf("the counter of PID %d cannot be brought back: %d packets are missing", pid, n)
		}
	}
	return out, nil
}

// spread puts the last bytes of a packet into packets of their own, and stuffing in their place.
func spread(p packet, more int) []packet {
	if more == 0 {
		return []packet{p}
	}
	payload := p.payload()
	kept, rest := payload[:len(payload)-more], payload[len(payload)-more:]
	head := append(make(packet, 0, packetSize), p[:4]...)
	head[3] |= 0x20
	var field []byte // of adaptation
	stuffing := more
	if p[3]&0x20 != 0 {
		field = p[5 : 5+int(p[4])]
	} else {
		stuffing-- // its length takes a byte
	}
	head = append(head, byte(len(field)+stuffing))
	head = append(head, field...)
	for range stuffing {
		if len(head) == 5 {
			head = append(head, 0) // its flags
		} else {
			head = append(head, 0xff)
		}
	}
	out := []packet{append(head, kept...)}
	for _, b := range rest {
		one := append(make(packet, 0, packetSize), p[:4]...)
		one[1] &^= 0x40 // nothing begins here
		one[3] = 0x30   // a field of adaptation, and a payload
		one = append(one, packetSize-6, 0)
		for len(one) < packetSize-1 {
			one = append(one, 0xff)
		}
		out = append(out, append(one, b))
	}
	return out
}
