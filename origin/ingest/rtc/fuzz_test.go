package rtc

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// Whatever packets come in whatever order: nothing panics, no NAL unit is empty, nothing grows without bound.
func FuzzPackets(f *testing.F) {
	tape := tape{sequence: 65530}
	var seed []byte
	for range 3 {
		for _, p := range append(tape.packets(sps, pps, keyframe[:40]), tape.packets(inter[:40])...) {
			raw, err := p.Marshal()
			if err != nil {
				f.Fatal(err)
			}
			seed = append(append(seed, 0, byte(len(raw))), raw...)
		}
	}
	f.Add(seed, true)
	f.Add([]byte("\x00\x0f\x80\xe0\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x18\x00\x00\x01\x0d\x80\x60\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01\x01\x02\x00\x00\x00"), false)
	f.Fuzz(func(t *testing.T, data []byte, sound bool) {
		s := &strict{t: t}
		d := newDistributor(sound, s)
		now := start
		for len(data) >= 2 { // what to do, how long, and the bytes of a packet
			what, size := data[0], min(int(data[1]), len(data)-2)
			body := data[2 : 2+size]
			data = data[2+size:]
			now = now.Add(time.Duration(what>>2) * 10 * ms)
			a := arrival{stream: int(what & 1), at: now}
			if what&2 == 0 {
				a.packet = &rtp.Packet{}
				if a.packet.Unmarshal(body) != nil {
					continue
				}
			} else if len(body) >= 12 {
				a.ntp, a.rtp = uint64(body[0])<<56|uint64(body[3])<<32|uint64(body[6])<<24, uint32(body[8])<<24|uint32(body[11])
			}
			if _, err := d.take(a); err != nil {
				return
			}
			if len(d.arrivals) > queueSize || d.order[pictures].count > reorderSize || d.assembler.bytes > maxPicture {
				t.Fatal("something grows without bound")
			}
		}
	})
}

type strict struct{ t *testing.T }

func (s *strict) SoundBegins() error { return nil }

func (s *strict) Picture(_ time.Duration, units [][]byte, _ time.Time) (bool, error) {
	if len(units) == 0 {
		s.t.Fatal("a picture without anything")
	}
	for _, u := range units {
		if len(u) == 0 {
			s.t.Fatal("an empty NAL unit")
		}
	}
	return false, nil
}

func (s *strict) Sound(_ time.Duration, packet []byte) error {
	if len(packet) == 0 || len(packet) > maxSound {
		s.t.Fatalf("a packet of sound has %d bytes", len(packet))
	}
	return nil
}

func FuzzOffer(f *testing.F) {
	f.Add([]byte(offerOf("video", "H264/90000", "sendonly") + section("audio", "opus/48000/2", "sendonly")))
	f.Add([]byte("v=0\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := ReadOffer(text)
		if err == nil && (!strings.Contains(o.sdp, "video") || o.candidates > maxCandidates) {
			t.Errorf("this is no offer: %q", text)
		}
	})
}

func FuzzFragment(f *testing.F) {
	f.Add([]byte(fragment))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ReadFragment(text)
		if err == nil && len(got.candidates) > maxCandidates {
			t.Errorf("%d candidates", len(got.candidates))
		}
	})
}
