package link

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// datagramOf makes an IPv4 packet with a UDP datagram as a kernel would.
func datagramOf(from, to netip.AddrPort, payload []byte) packet {
	p := make(packet, ipHeader+udpHeader+len(payload))
	p[0], p[8], p[9] = 0x45, 64, protocolUDP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], from.Addr().AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	d := p[ipHeader:]
	binary.BigEndian.PutUint16(d[0:], from.Port())
	binary.BigEndian.PutUint16(d[2:], to.Port())
	binary.BigEndian.PutUint16(d[4:], uint16(len(d)))
	copy(d[udpHeader:], payload)
	binary.BigEndian.PutUint16(d[6:], checksum(p))
	return p
}

// checksum is that of RFC 768, computed from scratch.
func checksum(p packet) uint16 {
	d := append([]byte(nil), p[ipHeader:]...)
	d[6], d[7] = 0, 0
	pseudo := append(append([]byte(nil), p[12:20]...), 0, protocolUDP, d[4], d[5])
	sum := uint32(0)
	for _, part := range [][]byte{pseudo, d} {
		for i := 0; i < len(part); i += 2 {
			word := uint32(part[i]) << 8
			if i+1 < len(part) {
				word |= uint32(part[i+1])
			}
			sum += word
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	if sum == 0xffff {
		return 0xffff
	}
	return ^uint16(sum)
}

func TestARewrittenPortLeavesTheChecksumRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		port := rapid.Uint16()
		from := netip.AddrPortFrom(addr(1), port.Draw(t, "from"))
		to := netip.AddrPortFrom(addr(2), port.Draw(t, "to"))
		p := datagramOf(from, to, rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "payload"))
		at := rapid.SampledFrom([]int{0, 2}).Draw(t, "which")
		rewrite(p.datagram(), at, port.Draw(t, "new"))
		if got, want := binary.BigEndian.Uint16(p.datagram()[6:]), checksum(p); got != want {
			t.Fatalf("checksum %04x, want %04x", got, want)
		}
	})
}

func FuzzAcceptTakesAnything(f *testing.F) {
	f.Add([]byte(datagramOf(end(1, 5), end(2, 6), []byte("hello"))))
	f.Add([]byte{0x45})
	f.Add([]byte{0x60, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for nat := Open; nat <= Blocked; nat++ {
			fabric := twoHosts(t, func(c *Config) { c.Hosts[0].NAT, c.Hosts[1].NAT = nat, nat })
			fabric.Accept(0, 0, data)
			fabric.Advance(1<<40, func(to int, _ int64, got []byte) {
				if to == 0 || len(got) != len(data) {
					t.Fatalf("host %d got %d bytes of %d", to, len(got), len(data))
				}
			})
			if _, more := fabric.NextUs(); more {
				t.Fatal("something never arrives")
			}
		}
	})
}
