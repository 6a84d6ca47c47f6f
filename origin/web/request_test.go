package web

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// lines makes a request of lines.
func lines(of ...string) string { return strings.Join(of, "\r\n") + "\r\n\r\n" }

func TestTheLaneTakesPlainRequests(t *testing.T) {
	for _, text := range []string{
		lines("GET /live/demo/360p/index.m3u8 HTTP/1.1", "Host: origin"),
		lines("GET /live/demo/360p/index.m3u8?_HLS_msn=12&_HLS_part=3 HTTP/1.1", "Host: [::1]:8080", "Accept-Encoding: gzip, br", "Connection: Keep-Alive"),
		lines("HEAD /live/demo/360p/17.m4s HTTP/1.1", "host:origin", "USER-AGENT: x", "Cookie: a=b; c=\"d\"", "If-None-Match: \"abc\"", "Range: bytes=0-1"),
	} {
		var q Request
		size, ok := q.read([]byte(text + "GET / HTTP/1.1\r\n"))
		if !ok || size != len(text) {
			t.Errorf("%t, %d bytes of %q", ok, size, text)
		}
	}
	var q Request
	q.read([]byte(lines("HEAD /a/b?x=1&y=&x=2&z HTTP/1.1", "Host: o", "Accept-Encoding:  gzip\t", "Range: bytes=4-5", "If-None-Match: \"q\"")))
	if !q.Head || string(q.Path) != "/a/b" || string(q.AcceptEncoding) != "gzip" || string(q.Range) != "bytes=4-5" || string(q.IfNoneMatch) != `"q"` {
		t.Errorf("%+v", q)
	}
	for name, want := range map[string]string{"x": "1", "y": "", "z": "", "nope": ""} {
		if got := q.Param(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// What is unusual, and above all what two readers could take for two things, is net/http's.
func TestTheLaneLeavesTheRestToNetHTTP(t *testing.T) {
	const line, host = "GET /a HTTP/1.1", "Host: o"
	for _, text := range []string{
		"", "\r\n", "GET", line + "\r\n" + host + "\r\n", // not all of it
		lines("POST /a HTTP/1.1", host), lines("get /a HTTP/1.1", host), lines("OPTIONS * HTTP/1.1", host), lines("PRI * HTTP/2.0", ""),
		lines("GET /a HTTP/1.0", host), lines("GET /a  HTTP/1.1", host), lines("GET  /a HTTP/1.1", host), lines("GET /a HTTP/1.1 ", host),
		lines("GET http://o/a HTTP/1.1", host), lines("GET a HTTP/1.1", host), lines("GET /a%20b HTTP/1.1", host), lines("GET /a?b=%20 HTTP/1.1", host),
		lines("GET /a/../b HTTP/1.1", host), lines("GET /./a HTTP/1.1", host), lines("GET //a HTTP/1.1", host), lines("GET /a?b;c HTTP/1.1", host),
		lines("GET /a?b?c HTTP/1.1", host), lines("GET /a#b HTTP/1.1", host), lines("GET /a?b+c HTTP/1.1", host), lines("GET /\xc3\xa9 HTTP/1.1", host),
		lines(line), lines(line, host, host), lines(line, "Host:"), lines(line, "Host: o/p"), lines(line, "Host: o p"),
		lines(line, host, "Content-Length: 0"), lines(line, host, "Content-Length: 5") + "hello", lines(line, host, "Transfer-Encoding: chunked") + "0\r\n\r\n",
		lines(line, host, "transfer-ENCODING: identity"), lines(line, host, "Transfer-Encoding : chunked"), lines(line, host, " Transfer-Encoding: chunked"),
		lines(line, host, "X: y", "\tTransfer-Encoding: chunked"), lines(line, host, "TE: trailers"), lines(line, host, "Trailer: x"),
		lines(line, host, "Connection: close"), lines(line, host, "Connection: upgrade", "Upgrade: websocket"), lines(line, host, "Upgrade: h2c"),
		lines(line, host, "Expect: 100-continue"), lines(line, host, "If-Match: *"), lines(line, host, "If-Range: \"x\""),
		lines(line, host, "Range: bytes=0-1", "Range: bytes=2-3"), lines(line, host, "Accept-Encoding:", "Accept-Encoding: gzip"),
		lines(line, host, "X: a\x00b"), lines(line, host, "X: a\rb"), lines(line, host, "X: \x7f"), lines(line, host, "X: \xe4"), lines(line, host, ": x"), lines(line, host, "X"),
		"GET /a HTTP/1.1\nHost: o\n\n", "GET /a HTTP/1.1\r\nHost: o\n\r\n", "GET /a HTTP/1.1\r\nHost: o\r\n\n", "\r\n" + lines(line, host),
	} {
		var q Request
		if size, ok := q.read([]byte(text)); ok {
			t.Errorf("%d bytes of %q are taken", size, text)
		}
	}
}

// FuzzRequest holds that what the lane reads net/http reads likewise, to the byte where the next request begins.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(lines("GET /live/demo/360p/index.m3u8?_HLS_msn=12&_HLS_part=3 HTTP/1.1", "Host: origin", "Accept-Encoding: gzip")))
	f.Add([]byte(lines("HEAD /a/b HTTP/1.1", "Host: [::1]:80", "Range: bytes=0-1", "If-None-Match: \"a\"", "Connection: keep-alive") + "GET"))
	f.Add([]byte(lines("GET /a HTTP/1.1", "Host: o", "Transfer-Encoding : chunked", "Content-Length: 3") + "abc"))
	f.Add([]byte(lines("GET /a?b&&=c&d=&d=e HTTP/1.1", "Host: o")))
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: o\r\nX: y\r\n z\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var q Request
		size, ok := q.read(in)
		if !ok {
			return
		}
		from := bytes.NewReader(in)
		buffered := bufio.NewReaderSize(from, 16)
		r, err := http.ReadRequest(buffered)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", in[:size], err)
		}
		if rest := from.Len() + buffered.Buffered(); rest != len(in)-size {
			t.Errorf("the next request begins %d bytes before the end, for net/http %d", len(in)-size, rest)
		}
		if body, err := io.ReadAll(r.Body); err != nil || len(body) > 0 || r.ContentLength != 0 || len(r.TransferEncoding) > 0 || r.Close {
			t.Errorf("net/http sees more than a header: %q, %v, %+v", body, err, r)
		}
		method := http.MethodGet
		if q.Head {
			method = http.MethodHead
		}
		if r.Method != method || r.URL.Path != string(q.Path) || r.URL.RawQuery != string(q.Query) || r.URL.RawPath != "" || r.ProtoMinor != 1 {
			t.Errorf("net/http reads %s %q ? %q", r.Method, r.URL.Path, r.URL.RawQuery)
		}
		for name, value := range map[string][]byte{"Accept-Encoding": q.AcceptEncoding, "If-None-Match": q.IfNoneMatch, "Range": q.Range} {
			if r.Header.Get(name) != string(value) {
				t.Errorf("%s is %q, for net/http %q", name, value, r.Header.Get(name))
			}
		}
		for name, values := range r.URL.Query() {
			if q.Param(name) != values[0] {
				t.Errorf("the parameter %s is %q, for net/url %q", name, q.Param(name), values[0])
			}
		}
	})
}
