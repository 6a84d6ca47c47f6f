package epoll

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func request(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: tracker.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" // RFC 6455 1.3
}

// frame is a client's frame.
func frame(op byte, fin bool, payload string) []byte {
	first := op
	if fin {
		first |= 0x80
	}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d} // RFC 6455 5.7
	b = append(b, mask[:]...)
	at := len(b)
	b = append(b, payload...)
	unmask(b[at:], mask)
	return b
}

// read feeds a reader in pieces of a size and tells what it made of them.
func read(b []byte, size int) (said []string, wrong Status) {
	var r reader
	closed := false
	for len(b) > 0 && wrong == 0 && !closed {
		n := min(size, len(b))
		wrong = r.feed(bytes.Clone(b[:n]), 1000, func(op byte, payload []byte) bool {
			said = append(said, string('0'+rune(op))+string(payload))
			closed = op == opClose
			return !closed
		})
		b = b[n:]
	}
	return said, wrong
}

func TestMessagesComeWholeHoweverTheyAreCut(t *testing.T) {
	long := strings.Repeat("0123456789", 100)
	for name, c := range map[string]struct {
		frames [][]byte
		want   string
		wrong  Status
	}{
		"one":                       {[][]byte{frame(opText, true, "Hello")}, "1Hello", 0},
		"an empty one":              {[][]byte{frame(opText, true, "")}, "1", 0},
		"two, and one in binary":    {[][]byte{frame(opText, true, "a"), frame(opBinary, true, "b")}, "1a 2b", 0},
		"the longest":               {[][]byte{frame(opText, true, long)}, "1" + long, 0},
		"too long":                  {[][]byte{frame(opText, true, long+"0")}, "", MessageTooBig},
		"far too long":              {[][]byte{frame(opText, true, strings.Repeat("x", 70_000))}, "", MessageTooBig},
		"fragments, a ping between": {[][]byte{frame(opText, false, "Hel"), frame(opPing, true, "?"), frame(opContinuation, true, "lo")}, "9? 1Hello", 0},
		"fragments that are too long": {
			[][]byte{frame(opText, false, long), frame(opContinuation, false, "0"), frame(opContinuation, true, "")}, "", MessageTooBig,
		},
		"a rest of nothing":             {[][]byte{frame(opContinuation, true, "lo")}, "", ProtocolError},
		"a message in a message":        {[][]byte{frame(opText, false, "a"), frame(opText, true, "b")}, "", ProtocolError},
		"a ping in fragments":           {[][]byte{frame(opPing, false, "a")}, "", ProtocolError},
		"a long ping":                   {[][]byte{frame(opPing, true, strings.Repeat("x", 126))}, "", ProtocolError},
		"an unknown opcode":             {[][]byte{frame(3, true, "")}, "", ProtocolError},
		"an unknown control opcode":     {[][]byte{frame(11, true, "")}, "", ProtocolError},
		"an extension's bit":            {[][]byte{{0xc1, 0x80, 0, 0, 0, 0}}, "", ProtocolError},
		"no mask":                       {[][]byte{{0x81, 0x01, 'x'}}, "", ProtocolError},
		"a length that has no number":   {[][]byte{{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, "", MessageTooBig},
		"a close, and nothing after it": {[][]byte{frame(opClose, true, "\x03\xe8")}, "8\x03\xe8", 0},
	} {
		all := bytes.Join(c.frames, nil)
		for _, size := range []int{1, 3, len(all)} {
			if said, wrong := read(all, size); strings.Join(said, " ") != c.want || wrong != c.wrong {
				t.Errorf("%s, in pieces of %d: %q, %d; want %q, %d", name, size, said, wrong, c.want, c.wrong)
			}
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(opText, true, "Hello"), 3)
	f.Add(bytes.Join([][]byte{frame(opText, false, "Hel"), frame(opPing, true, ""), frame(opContinuation, true, "lo")}, nil), 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		said, wrong := read(b, max(len(b), 1))
		again, wrongAgain := read(b, max(1, min(size, len(b))))
		if strings.Join(said, "\n") != strings.Join(again, "\n") || wrong != wrongAgain {
			t.Errorf("in one piece %q, %d; in pieces of %d %q, %d", said, wrong, size, again, wrongAgain)
		}
	})
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(request("/ws")))
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		size := headEnd(b)
		if size == 0 {
			return
		}
		r, err := parseHead(b[:size], bufio.NewReader(nil))
		if err != nil || !wantsWebSocket(r) {
			return
		}
		if accept, ok := acceptKey(r); ok && len(accept) != 28 {
			t.Errorf("the answer to a key is %q", accept)
		}
	})
}
