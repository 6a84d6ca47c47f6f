package rtc

import (
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

const (
	maxPicture = 10 << 20 // bytes of an access unit
	maxUnits   = 1024     // NAL units of an access unit
)

// A picture is an access unit: NAL units without start codes.
type picture struct {
	ticks    int64
	units    [][]byte
	keyframe bool
}

// An assembler makes pictures of the packets of one H.264 stream (RFC 6184), which come in order.
type assembler struct {
	time    unwrapper
	h264    codecs.H264Packet
	current picture
	open    bool
	broken  bool // a part of the current picture is lost
	bytes   int
}

// take gives emit the pictures that are complete with a packet. A picture that is not whole becomes a report of damage.
func (a *assembler) take(p *rtp.Packet, lost bool, emit func(picture) error, damage func()) error {
	ticks := a.time.ticks(p.Timestamp)
	if lost {
		defer damage()
		a.broken = true
	}
	if a.open && a.current.ticks != ticks {
		if err := a.close(emit, damage); err != nil {
			return err
		}
	}
	if len(p.Payload) == 0 {
		return nil // padding, with which browsers measure the line
	}
	if !a.open {
		a.open, a.current, a.bytes = true, picture{ticks: ticks}, 0
		a.broken = lost && !begins(p.Payload) // its beginning may be among what is lost
		a.h264 = codecs.H264Packet{IsAVC: true}
	}
	if a.bytes += len(p.Payload); a.bytes > maxPicture {
		return fmt.Errorf("a picture has more than %d bytes", maxPicture)
	}
	if !a.broken {
		units, err := a.h264.Unmarshal(p.Payload)
		if err == nil {
			err = a.add(units)
		}
		if err != nil {
			a.broken = true
		}
	}
	if p.Marker {
		return a.close(emit, damage)
	}
	return nil
}

// add takes NAL units that each have their length in front.
func (a *assembler) add(units []byte) error {
	for len(units) >= 4 {
		size := int(binary.BigEndian.Uint32(units))
		unit := units[4 : 4+size : 4+size]
		units = units[4+size:]
		if size == 0 {
			continue
		}
		if len(a.current.units) == maxUnits {
			return fmt.Errorf("a picture has more than %d NAL units", maxUnits)
		}
		a.current.units = append(a.current.units, unit)
		a.current.keyframe = a.current.keyframe || h264.NALUType(unit[0]&0x1f) == h264.NALUTypeIDR
	}
	return nil
}

// begins reports whether a payload is certainly the beginning of an access unit: parameter sets and delimiters come first.
func begins(payload []byte) bool {
	const aggregate = 24 // STAP-A: a header, then the first unit's length
	first := payload[0] & 0x1f
	if first == aggregate && len(payload) > 3 {
		first = payload[3] & 0x1f
	}
	kind := h264.NALUType(first)
	return kind == h264.NALUTypeSPS || kind == h264.NALUTypeAccessUnitDelimiter
}

// close ends the current picture.
func (a *assembler) close(emit func(picture) error, damage func()) error {
	whole := a.open && !a.broken
	a.open, a.broken = false, false
	switch {
	case !whole:
		damage()
		return nil
	case len(a.current.units) == 0:
		return nil
	}
	return emit(a.current)
}

// An unwrapper continues 32-bit timestamps beyond their wrap. The lower 32 bits of its ticks are the timestamp.
type unwrapper struct {
	last  int64
	begun bool
}

func (u *unwrapper) ticks(timestamp uint32) int64 {
	if !u.begun {
		u.last, u.begun = int64(timestamp), true
	}
	u.last = u.near(timestamp)
	return u.last
}

// near is the time that a timestamp stands for, if it is not far from the last one.
func (u *unwrapper) near(timestamp uint32) int64 {
	return u.last + int64(int32(timestamp-uint32(u.last)))
}
