package epoll

import (
	"encoding/binary"
)

// Opcodes (RFC 6455 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Status is why a WebSocket closes (RFC 6455 7.4.1).
type Status uint16

// The statuses that servers use.
const (
	NormalClosure   Status = 1000
	GoingAway       Status = 1001
	ProtocolError   Status = 1002
	PolicyViolation Status = 1008
	MessageTooBig   Status = 1009
)

// maxControl is the longest payload of a control frame.
const maxControl = 125

const (
	// maxControls is how many control frames a client may send between two of our pings, and maxFragments of how many parts
	// a message may be. Neither is a message, so nobody else counts them.
	maxControls  = 100
	maxFragments = 1000
)

// header is the beginning of a client's frame.
type header struct {
	fin    bool
	op     byte
	length int
	mask   [4]byte
	size   int // of the header itself
}

// readHeader reads one; size 0 means that more bytes are needed. A status other than 0 ends the connection.
func readHeader(b []byte, most int) (h header, wrong Status) {
	if len(b) < 2 {
		return header{}, 0
	}
	h.fin, h.op = b[0]&0x80 != 0, b[0]&0x0f
	control := h.op&0x8 != 0
	if b[0]&0x70 != 0 || b[1]&0x80 == 0 || h.op > opPong || h.op > opBinary && !control {
		return header{}, ProtocolError // an extension, no mask, or an opcode that there is not
	}
	size, length := 2, uint64(b[1]&0x7f)
	switch {
	case control && (length > maxControl || !h.fin):
		return header{}, ProtocolError
	case length == 126:
		if size = 4; len(b) < size {
			return header{}, 0
		}
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case length == 127:
		if size = 10; len(b) < size {
			return header{}, 0
		}
		length = binary.BigEndian.Uint64(b[2:])
	}
	if length > uint64(most) && !control {
		return header{}, MessageTooBig
	}
	if len(b) < size+4 {
		return header{}, 0
	}
	copy(h.mask[:], b[size:])
	h.length, h.size = int(length), size+4
	return h, 0
}

// unmask removes (or adds) a client's mask.
func unmask(b []byte, mask [4]byte) {
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	word |= word << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// appendFrame adds a whole server's frame.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// appendClose adds a close frame; the reason is cut to what fits.
func appendClose(dst []byte, status Status, reason string) []byte {
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, maxControl), uint16(status))
	payload = append(payload, reason[:min(len(reason), maxControl-2)]...)
	return appendFrame(dst, opClose, payload)
}

// reader makes messages of a client's bytes. Between two calls it keeps only what is incomplete.
type reader struct {
	rest    []byte // of a frame
	message []byte // fragments, if there are any
	op      byte   // of the message in fragments, 0 if there is none
	parts   int    // how many of it there were
}

// empty tells whether nothing is incomplete.
func (r *reader) empty() bool { return r.rest == nil && r.op == 0 }

// feed takes the next bytes, which it may change, and calls on for each message and control frame, with a payload that
// is valid during the call; false ends it. A status other than 0 tells what rule was broken.
func (r *reader) feed(b []byte, most int, on func(op byte, payload []byte) bool) Status {
	ours := len(r.rest) > 0 // b is a buffer that we may keep: who sends byte by byte must not have us copy all each time
	if ours {
		b = append(r.rest, b...)
		r.rest = nil
	}
	for {
		h, wrong := readHeader(b, most-len(r.message))
		if wrong != 0 {
			return wrong
		}
		if h.size == 0 || len(b) < h.size+h.length {
			break
		}
		payload := b[h.size : h.size+h.length]
		b, ours = b[h.size+h.length:], false
		unmask(payload, h.mask)
		op := h.op
		switch {
		case op == opContinuation && r.op == 0, (op == opText || op == opBinary) && r.op != 0:
			return ProtocolError // the rest of nothing, or a message within another
		case op >= opClose, h.fin && r.op == 0:
		default:
			if r.op == 0 {
				r.op = op
			}
			if r.parts++; r.parts > maxFragments {
				return PolicyViolation
			}
			r.message = append(r.message, payload...)
			if !h.fin {
				continue
			}
			op, payload = r.op, r.message
			r.op, r.message, r.parts = 0, nil, 0
		}
		if !on(op, payload) {
			return 0
		}
	}
	switch {
	case ours:
		r.rest = b
	case len(b) > 0:
		r.rest = append(make([]byte, 0, len(b)), b...)
	}
	return 0
}
