package epoll

import (
	"bufio"
	"bytes"
	"crypto/sha1" // RFC 6455 4.2.2 wants it; nothing depends on its strength
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// maxHead bounds a request's head.
const maxHead = 8 << 10

// headEnd is where a request's head ends; 0 if it has not yet.
func headEnd(b []byte) int {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return 0
}

// parseHead reads a whole head.
func parseHead(head []byte, lines *bufio.Reader) (*http.Request, error) {
	lines.Reset(bytes.NewReader(head))
	return http.ReadRequest(lines)
}

// wantsWebSocket tells whether a request asks for one (RFC 6455 4.2.1).
func wantsWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) && has(r.Header, "Connection", "upgrade") && has(r.Header, "Upgrade", "websocket")
}

// has tells whether a list of words has one, in any case.
func has(h http.Header, name, word string) bool {
	for _, line := range h[name] {
		for entry := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(entry), word) {
				return true
			}
		}
	}
	return false
}

// acceptKey answers a request's key; false if that, or its version, is none.
func acceptKey(r *http.Request) (string, bool) {
	key := r.Header.Get("Sec-WebSocket-Key")
	if b, err := base64.StdEncoding.DecodeString(key); err != nil || len(b) != 16 || r.Header.Get("Sec-WebSocket-Version") != "13" {
		return "", false
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:]), true
}

func appendSwitch(dst []byte, accept, protocol string) []byte {
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = append(dst, accept...)
	if protocol != "" {
		dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), protocol...)
	}
	return append(dst, "\r\n\r\n"...)
}

func appendRefusal(dst []byte, no Refusal) []byte {
	dst = fmt.Appendf(dst, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n", no.Status, http.StatusText(no.Status))
	if no.RetryAfter > 0 {
		dst = fmt.Appendf(dst, "Retry-After: %d\r\n", no.RetryAfter)
	}
	return fmt.Appendf(dst, "Content-Length: %d\r\n\r\n%s\n", len(no.Sentence)+1, no.Sentence)
}
