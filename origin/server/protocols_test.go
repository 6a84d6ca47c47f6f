package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"slipstream/origin/certificate"
	"slipstream/origin/web"
)

// listening serves over the network until the test ends.
func listening(t *testing.T, cfg web.Config) *web.Server {
	t.Helper()
	served, err := web.Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- served.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return served
}

// overTheWire runs a test for HTTP/1.1 over TLS, HTTP/2 and HTTP/3, with the client of each.
func overTheWire(t *testing.T, s *site, test func(t *testing.T, ask func(method, path string, headers ...string) answer)) {
	cert, err := certificate.SelfSigned(t.TempDir(), "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	served := listening(t, web.Config{
		HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", HTTP3: true, TLS: &tls.Config{Certificates: []tls.Certificate{*cert}}, Handler: s.server,
	})
	trust := x509.NewCertPool()
	trust.AddCert(cert.Leaf)
	overTCP := func(http2 bool) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableCompression: true, Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(!http2)
		transport.Protocols.SetHTTP2(http2)
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	overUDP := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableCompression: true}
	t.Cleanup(func() { overUDP.Close() })
	for _, c := range []struct {
		protocol string
		client   *http.Client
	}{{"HTTP/1.1", overTCP(false)}, {"HTTP/2.0", overTCP(true)}, {"HTTP/3.0", &http.Client{Transport: overUDP}}} {
		t.Run(c.protocol, func(t *testing.T) {
			test(t, func(method, path string, headers ...string) answer {
				req, err := http.NewRequest(method, "https://"+served.SecureAddr().String()+path, nil)
				if err != nil {
					t.Error(err)
					return answer{}
				}
				for i := 0; i < len(headers); i += 2 {
					req.Header.Set(headers[i], headers[i+1])
				}
				resp, err := c.client.Do(req)
				if err != nil {
					t.Error(err)
					return answer{}
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.Proto != c.protocol {
					t.Errorf("%s over %s: %v", path, resp.Proto, err)
				}
				return answer{resp.StatusCode, resp.Header, string(body)}
			})
		})
	}
}

func TestAnswersAreTheSameOverEachProtocol(t *testing.T) {
	s := newSite(t, nil)
	s.publish(first, first+1)
	path := fmt.Sprintf("/live/demo/360p/%d.m4s", first)
	whole := string(data("360p", first))
	overTheWire(t, s, func(t *testing.T, ask func(string, string, ...string) answer) {
		a := ask("GET", path)
		a.want(t, "segment", 200, "Content-Type", "video/mp4", "Content-Length", "40000", "Cache-Control", cacheForEver, "Access-Control-Allow-Origin", "*",
			"Cmsd-Static", fmt.Sprintf(`ot=av,sf=h,st=l,d=2000,br=160,nor="%d.m4s"`, first+1))
		if a.body != whole {
			t.Errorf("%d bytes came that are not the segment", len(a.body))
		}
		tag := a.header.Get("ETag")
		part := ask("GET", path, "Range", "bytes=16384-32767")
		part.want(t, "range", 206, "Content-Range", "bytes 16384-32767/40000", "Content-Length", "16384", "ETag", tag)
		if part.body != whole[16384:32768] {
			t.Error("another range came")
		}
		ask("GET", path, "Range", "bytes=40000-").want(t, "range outside", 416, "Content-Range", "bytes */40000")
		ask("GET", path, "If-None-Match", tag).want(t, "known", 304, "ETag", tag)
		if head := ask("HEAD", path); head.status != 200 || head.header.Get("Content-Length") != "40000" || head.body != "" {
			t.Errorf("HEAD: %d, %v, %d bytes", head.status, head.header, len(head.body))
		}
		list := ask("GET", media360p)
		list.want(t, "playlist", 200, "Content-Type", typePlaylist, "Cache-Control", cachePlaylist)
		ask("GET", media360p, "If-None-Match", list.header.Get("ETag")).want(t, "known playlist", 304)
		ask("GET", media360p, "Accept-Encoding", "gzip").want(t, "compressed", 200, "Content-Encoding", "gzip")
		ask("GET", "/live/demo/360p/1.m4s").want(t, "what is not there", 404, "Cache-Control", "public, max-age=1")
		ask("OPTIONS", path, "Origin", "https://example.org", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "range").
			want(t, "preflight", 204, "Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		ask("POST", "/live/demo/token").want(t, "token", 200, "Content-Type", "application/json")
	})
}

// Over HTTP/2 and HTTP/3 those who wait share a connection with those who do not.
func TestManyWaitForAPartOverEachProtocol(t *testing.T) {
	const many = 30
	s := newSite(t, nil)
	next := first
	s.publishParts(next, 0, 4)
	s.publish(next)
	overTheWire(t, s, func(t *testing.T, ask func(string, string, ...string) answer) {
		next++
		s.publishParts(next, 0, 1)
		ch := s.server.channels["demo"]
		answers := make(chan answer, 2*many)
		for range many {
			go func() { answers <- ask("GET", fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=1", media360p, next)) }()
			go func() { answers <- ask("GET", fmt.Sprintf("/live/demo/360p/%d.1.m4s", next)) }()
		}
		for deadline := time.Now().Add(10 * time.Second); ch.waiting.Load() < 2*many; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("only %d of %d wait", ch.waiting.Load(), 2*many)
			}
		}
		ask("GET", media360p).want(t, "who does not wait", 200)
		if len(answers) > 0 {
			t.Errorf("%d answers came early", len(answers))
		}
		s.publishParts(next, 1, 2)
		for range 2 * many {
			if a := <-answers; a.status != 200 {
				t.Errorf("who waited was told %d: %s", a.status, a.body)
			}
		}
		s.publish(next)
	})
}
