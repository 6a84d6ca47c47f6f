package link

import (
	"encoding/binary"
	"net/netip"
)

// MTU of the emulated links: what DTLS, SCTP and the browsers' path MTU discovery
// have room in, and a little less than Ethernet, as on lines with PPPoE or a tunnel.
const MTU = 1400

const (
	protocolUDP = 17

	ipHeader  = 20
	udpHeader = 8
)

// packet is an IPv4 packet as a TUN device gives it (RFC 791).
type packet []byte

// valid tells whether the accessors below are safe.
func (p packet) valid() bool {
	return len(p) >= ipHeader && p[0]>>4 == 4 && p.headerLen() >= ipHeader && p.headerLen() <= len(p) &&
		int(binary.BigEndian.Uint16(p[2:])) == len(p)
}

func (p packet) headerLen() int          { return int(p[0]&0x0f) * 4 }
func (p packet) source() netip.Addr      { return netip.AddrFrom4([4]byte(p[12:16])) }
func (p packet) destination() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// datagram is the UDP part of an unfragmented packet, nil for everything else.
func (p packet) datagram() []byte {
	fragmented := binary.BigEndian.Uint16(p[6:])&0x3fff != 0 // more fragments, or an offset
	if p[9] != protocolUDP || fragmented || len(p) < p.headerLen()+udpHeader {
		return nil
	}
	return p[p.headerLen():]
}

// isUDP is true for fragments too.
func (p packet) isUDP() bool { return p[9] == protocolUDP }

// rewrite replaces a port of a datagram (at: 0 source, 2 destination) and mends its
// checksum by the difference (RFC 1624); a checksum of 0 says that there is none.
func rewrite(datagram []byte, at int, port uint16) {
	old := binary.BigEndian.Uint16(datagram[at:])
	binary.BigEndian.PutUint16(datagram[at:], port)
	sum := binary.BigEndian.Uint16(datagram[6:])
	if sum == 0 || old == port {
		return
	}
	s := uint32(^sum) + uint32(^old) + uint32(port)
	s = s&0xffff + s>>16
	s = s&0xffff + s>>16
	if sum = ^uint16(s); sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(datagram[6:], sum)
}
