package epoll

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// maxProxy bounds a header of the PROXY protocol. Addresses are at most 52 bytes of it; the rest is what terminators add, such as
// the name that a client asked for.
const maxProxy = 2 << 10

// maxProxyLine is the longest header of version 1, by its specification.
const maxProxyLine = 107

var errNoProxy = errors.New("it does not begin with the PROXY protocol")

// readProxy reads a header of the PROXY protocol (version 1 or 2) at the beginning of b: its size, 0 while it is not complete, and
// for whom it speaks; the zero AddrPort is the terminator itself, which looks whether we are there.
func readProxy(b []byte) (client netip.AddrPort, size int, err error) {
	if size, err = proxySize(b); size == 0 || err != nil {
		return client, 0, err
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b[:size]), 256))
	if err != nil {
		return client, 0, errNoProxy
	}
	if from, ok := h.SourceAddr.(*net.TCPAddr); ok && h.Command.IsProxy() {
		at := from.AddrPort()
		client = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	}
	return client, size, nil
}

// proxySize tells how long a header is, without looking into it.
func proxySize(b []byte) (int, error) {
	one, two := proxyproto.SIGV1, proxyproto.SIGV2
	switch {
	case len(b) >= 16 && bytes.HasPrefix(b, two):
		size := 16 + int(binary.BigEndian.Uint16(b[14:]))
		if size > maxProxy {
			return 0, errNoProxy
		}
		if len(b) < size {
			return 0, nil
		}
		return size, nil
	case bytes.HasPrefix(b, one):
		if end := bytes.Index(b[:min(len(b), maxProxyLine)], []byte("\r\n")); end >= 0 {
			return end + 2, nil
		}
		if len(b) < maxProxyLine {
			return 0, nil
		}
	case bytes.HasPrefix(two, b[:min(len(b), len(two))]), bytes.HasPrefix(one, b):
		return 0, nil // so far
	}
	return 0, errNoProxy
}
