package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"slipstream/origin/certificate"
	"slipstream/origin/listen"
	"slipstream/origin/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// lab is a server with clients that trust it.
type lab struct {
	t      *testing.T
	server *Server
	trust  *tls.Config
	log    *logtest.Buffer
	cancel context.CancelFunc
	ended  chan error
}

func serve(t *testing.T, handler http.HandlerFunc, change func(*limits)) *lab {
	t.Helper()
	cert, err := certificate.SelfSigned(t.TempDir(), "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, trust: &tls.Config{RootCAs: x509.NewCertPool()}, log: &logtest.Buffer{}, ended: make(chan error, 1)}
	l.trust.RootCAs.AddCert(cert.Leaf)
	l.begin(Config{
		HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0", HTTP3: true, TLS: &tls.Config{Certificates: []tls.Certificate{*cert}},
		Handler: handler, Logger: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, change)
	return l
}

// begin starts the server.
func (l *lab) begin(cfg Config, change func(*limits)) {
	l.t.Helper()
	var err error
	if l.server, err = Listen(cfg); err != nil {
		l.t.Fatal(err)
	}
	if change != nil {
		change(&l.server.limits)
	}
	var ctx context.Context
	ctx, l.cancel = context.WithCancel(context.Background())
	go func() { l.ended <- l.server.Serve(ctx) }()
	l.t.Cleanup(l.stop)
}

// stop ends the server, which must do so by itself.
func (l *lab) stop() {
	l.cancel()
	select {
	case err := <-l.ended:
		if err != nil {
			l.t.Errorf("Serve ended with %v", err)
		}
		l.ended <- nil // for the next one who asks
	case <-time.After(patience):
		l.t.Fatal("Serve does not end")
	}
}

func (l *lab) secure() string { return l.server.SecureAddr().String() }

// protocols are the ways to ask, by what a request calls them.
var protocols = []string{"HTTP/1.1", "HTTP/1.1 over TLS", "HTTP/2.0", "HTTP/3.0"}

// client returns a client with connections of its own, and where it is to ask.
func (l *lab) client(protocol string) (*http.Client, string) {
	l.t.Helper()
	switch protocol {
	case "HTTP/3.0":
		transport := &http3.Transport{TLSClientConfig: l.trust.Clone()}
		l.t.Cleanup(func() { transport.Close() })
		return &http.Client{Transport: transport}, "https://" + l.secure()
	default:
		transport := &http.Transport{TLSClientConfig: l.trust.Clone(), Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(protocol != "HTTP/2.0")
		transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
		l.t.Cleanup(transport.CloseIdleConnections)
		if protocol == "HTTP/1.1" {
			return &http.Client{Transport: transport}, "http://" + l.server.Addr().String()
		}
		return &http.Client{Transport: transport}, "https://" + l.secure()
	}
}

func (l *lab) quic() *quic.Conn {
	l.t.Helper()
	conn, err := l.tryQUIC()
	if err != nil {
		l.t.Fatal(err)
	}
	return conn
}

func (l *lab) tryQUIC() (*quic.Conn, error) {
	trust := l.trust.Clone()
	trust.NextProtos = []string{"h3"}
	conn, err := quic.DialAddr(l.t.Context(), l.secure(), trust, nil)
	if err == nil {
		l.t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	}
	return conn, err
}

func TestTheSameOverEachProtocol(t *testing.T) {
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, r.Proto)
	}, nil)
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			client, base := l.client(protocol)
			resp, err := client.Get(base + "/a/b")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			proto, overTLS := strings.CutSuffix(protocol, " over TLS")
			if want := "GET /a/b " + proto; string(body) != want {
				t.Errorf("%q, want %q", body, want)
			}
			_, port, _ := net.SplitHostPort(l.secure())
			want := fmt.Sprintf(`h3=":%s"; ma=86400`, port)
			if !overTLS && protocol != "HTTP/2.0" {
				want = ""
			}
			if got := resp.Header.Get("Alt-Svc"); got != want {
				t.Errorf("Alt-Svc is %q, want %q", got, want)
			}
		})
	}
}

func TestGreedyHeadersAreRefused(t *testing.T) {
	l := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "read") }, nil)
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			client, base := l.client(protocol)
			ask := func(size int) (int, error) {
				req, err := http.NewRequest("GET", base, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Cookie", strings.Repeat("x", size))
				resp, err := client.Do(req)
				if err != nil {
					return 0, err
				}
				resp.Body.Close()
				return resp.StatusCode, nil
			}
			if status, err := ask(16 << 10); status != 200 {
				t.Errorf("16 KiB: %d, %v", status, err)
			}
			// The clients of HTTP/2 and HTTP/3 may know from the server's settings that it is no use to ask.
			status, err := ask(64 << 10)
			if status != http.StatusRequestHeaderFieldsTooLarge && err == nil {
				t.Errorf("64 KiB: %d", status)
			}
		})
	}
}

// half is the beginning of a HEADERS frame of HTTP/3 that promises more than it has.
var half = []byte{0x01, 0x40, 0x80, 0, 0}

func TestHalfAHeaderIsGivenUp(t *testing.T) {
	impatient := func(change func(*limits)) *lab {
		return serve(t, func(http.ResponseWriter, *http.Request) { t.Error("half a request was handled") }, change)
	}
	hangsUp := func(conn net.Conn) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection stays")
		}
		conn.Close()
	}
	shortHeader := func(l *limits) { l.header = 100 * time.Millisecond }
	shortIdle := func(l *limits) { l.idle = 300 * time.Millisecond }
	t.Run("HTTP/1.1", func(t *testing.T) {
		conn, err := net.Dial("tcp", impatient(shortHeader).server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nA: ")
		hangsUp(conn)
	})
	t.Run("half a TLS handshake", func(t *testing.T) {
		conn, err := net.Dial("tcp", impatient(shortHeader).secure())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte{0x16, 3, 1, 1, 0, 1})
		hangsUp(conn)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		conn, framer := impatient(shortIdle).framer()
		// An error says that the connection has been closed already.
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}, EndStream: true})
		hangsUp(conn)
	})
	t.Run("HTTP/3", func(t *testing.T) {
		stream, err := impatient(shortHeader).quic().OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Write(half); err != nil {
			t.Fatal(err)
		}
		_ = stream.SetReadDeadline(time.Now().Add(patience))
		var reset *quic.StreamError
		if _, err := stream.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.ErrorCode != quic.StreamErrorCode(http3.ErrCodeRequestIncomplete) {
			t.Errorf("the stream ended with %v", err)
		}
	})
	t.Run("HTTP/3 without a request", func(t *testing.T) {
		select {
		case <-impatient(shortIdle).quic().Context().Done():
		case <-time.After(patience):
			t.Error("the connection stays")
		}
	})
}

// The time limit is for headers: what is published by HTTP takes hours.
func TestABodyMayTakeItsTime(t *testing.T) {
	t.Parallel()
	const limit = time.Second // and for a TLS handshake
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	}, func(l *limits) { l.header = limit })
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			client, base := l.client(protocol)
			body, sender := io.Pipe()
			go func() {
				io.WriteString(sender, "at first, ")
				<-time.After(limit + limit/3)
				io.WriteString(sender, "and later")
				sender.Close()
			}()
			resp, err := client.Post(base, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "at first, and later" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// framer begins a conversation over HTTP/2.
func (l *lab) framer(settings ...http2.Setting) (*tls.Conn, *http2.Framer) {
	l.t.Helper()
	trust := l.trust.Clone()
	trust.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", l.secure(), trust)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(settings...); err != nil {
		l.t.Fatal(err)
	}
	return conn, framer
}

func TestRequestsAtATimeAreLimited(t *testing.T) {
	l := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, func(l *limits) { l.streams = 5 })
	_, framer := l.framer()
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("the server begins with %v", frame)
	}
	if most, _ := settings.Value(http2.SettingMaxConcurrentStreams); most != 5 {
		t.Errorf("HTTP/2 allows %d requests at a time", most)
	}
	conn := l.quic()
	for i := range 6 {
		_, err := conn.OpenStream()
		if (err == nil) != (i < 5) {
			t.Errorf("HTTP/3: stream %d: %v", i, err)
		}
	}
}

func TestConnectionsOverQUICAreLimited(t *testing.T) {
	l := serve(t, func(w http.ResponseWriter, _ *http.Request) {}, func(l *limits) { l.connections = 2 })
	first := l.quic()
	l.quic()
	if _, err := l.tryQUIC(); err == nil {
		t.Error("a third connection was let in")
	}
	_ = first.CloseWithError(0, "")
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := l.tryQUIC(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a connection that has ended is not given to another")
		}
	}
}

// seen is a socket that notices whether the server asked for a proof of its address (RFC 9000, section 17.2.5).
type seen struct {
	net.PacketConn
	retry atomic.Bool
}

func (s *seen) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(p)
	if n > 0 && p[0]&0xf0 == 0xf0 {
		s.retry.Store(true)
	}
	return n, from, err
}

func TestAnAddressMustBeProvenWhenManyCome(t *testing.T) {
	for _, allowed := range []int{usual.unverified, 0} {
		l := serve(t, func(w http.ResponseWriter, _ *http.Request) {}, func(l *limits) { l.unverified = allowed })
		socket, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { socket.Close() })
		s := &seen{PacketConn: socket}
		trust := l.trust.Clone()
		trust.NextProtos = []string{"h3"}
		conn, err := quic.Dial(t.Context(), s, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(l.secure())), trust, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.CloseWithError(0, "")
		if s.retry.Load() != (allowed == 0) {
			t.Errorf("with %d a second: asked for a proof: %t", allowed, s.retry.Load())
		}
	}
}

// A client of HTTP/2 or HTTP/3 can forbid the server to send it anything, even the shortest answer.
func TestAnAnswerThatNobodySpeaksOfIsBoundedToo(t *testing.T) {
	written := make(chan error, 1)
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := w.Write(make([]byte, 64<<10))
		written <- err
	}, func(l *limits) { l.answer = 100 * time.Millisecond })
	isGivenUp := func() {
		t.Helper()
		select {
		case err := <-written:
			if err == nil {
				t.Error("64 KiB were written to a client that takes none")
			}
		case <-time.After(patience):
			t.Error("the answer never ends")
		}
	}
	t.Run("HTTP/2", func(t *testing.T) {
		_, framer := l.framer(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		ask(t, framer)
		isGivenUp()
	})
	t.Run("HTTP/3", func(t *testing.T) {
		transport := &http3.Transport{TLSClientConfig: l.trust.Clone(), QUICConfig: &quic.Config{InitialStreamReceiveWindow: 1000, MaxStreamReceiveWindow: 1000}}
		defer transport.Close()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + l.secure())
		if err == nil {
			defer resp.Body.Close()
		}
		isGivenUp()
	})
}

// A stalled connection of HTTP/2 cannot even be told that a stream has ended.
func TestAConnectionThatTakesNothingIsClosed(t *testing.T) {
	over := make(chan struct{})
	l := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(over)
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}, func(l *limits) { l.stalled = 300 * time.Millisecond })
	_, framer := l.framer(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	if err := framer.WriteWindowUpdate(0, 1<<30); err != nil {
		t.Fatal(err)
	}
	ask(t, framer)
	select {
	case <-over:
	case <-time.After(patience):
		t.Error("the connection stays")
	}
}

// ask sends a request over HTTP/2.
func ask(t *testing.T, framer *http2.Framer) {
	t.Helper()
	var header bytes.Buffer
	encoder := hpack.NewEncoder(&header)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: header.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
}

func TestAReaderThatStopsEndsItsAnswer(t *testing.T) {
	written := make(chan error, 1)
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		chunk := make([]byte, 1<<20)
		var err error
		for i := 0; i < 256 && err == nil; i++ {
			_, err = w.Write(chunk)
		}
		written <- err
	}, nil)
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			client, base := l.client(protocol)
			if resp, err := client.Get(base); err == nil { // otherwise it was given up very soon
				defer resp.Body.Close()
			}
			select {
			case err := <-written:
				if err == nil {
					t.Error("256 MiB were written to a client that reads nothing")
				}
			case <-time.After(patience):
				t.Error("the answer never ends")
			}
		})
	}
}

func TestAnswersUnderWayFinishWhenTheServerEnds(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			begun, release := make(chan struct{}, 1), make(chan struct{})
			whole := bytes.Repeat([]byte("slipstream"), 100_000)
			l := serve(t, func(w http.ResponseWriter, r *http.Request) {
				begun <- struct{}{}
				<-r.Context().Done() // who waits learns of the end …
				<-release
				w.Write(whole) // … and may still answer
			}, nil)
			client, base := l.client(protocol)
			got := make(chan error, 1)
			go func() {
				resp, err := client.Get(base)
				if err == nil {
					defer resp.Body.Close()
					var body []byte
					if body, err = io.ReadAll(resp.Body); err == nil && !bytes.Equal(body, whole) {
						err = fmt.Errorf("%d bytes came", len(body))
					}
				}
				got <- err
			}()
			<-begun
			l.cancel()
			close(release)
			if err := <-got; err != nil {
				t.Error(err)
			}
			l.stop()
		})
	}
}

func TestWhoHoldsOnIsCutOff(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			over := make(chan struct{})
			l := serve(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(over)
				chunk := make([]byte, 1<<20)
				for {
					if _, err := w.Write(chunk); err != nil {
						return
					}
				}
			}, func(l *limits) { l.shutdown = 50 * time.Millisecond })
			client, base := l.client(protocol)
			resp, err := client.Get(base) // and never reads
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			l.stop()
			select {
			case <-over:
			case <-time.After(patience):
				t.Error("the answer goes on without its server")
			}
		})
	}
}

func TestWebSocketsPassOverHTTPS(t *testing.T) {
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte("hello"))
			_ = conn.Close(websocket.StatusNormalClosure, "")
		}
	}, nil)
	client, base := l.client("HTTP/1.1 over TLS")
	conn, _, err := websocket.Dial(t.Context(), "wss"+strings.TrimPrefix(base, "https"), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if _, said, err := conn.Read(t.Context()); err != nil || string(said) != "hello" {
		t.Errorf("%q, %v", said, err)
	}
}

func TestAddressesInUseAreNamed(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, c := range []struct {
		cfg      Config
		protocol string
	}{
		{Config{HTTP: tcp.Addr().String()}, "HTTP"},
		{Config{HTTP: "127.0.0.1:0", HTTPS: tcp.Addr().String()}, "HTTPS"},
		{Config{HTTP: "127.0.0.1:0", HTTPS: udp.LocalAddr().String(), HTTP3: true}, "HTTP/3"},
	} {
		_, err := Listen(c.cfg)
		var failed *listen.Error
		if !errors.As(err, &failed) || failed.Protocol != c.protocol || !strings.Contains(err.Error(), c.protocol+" cannot listen on 127.0.0.1:") {
			t.Errorf("%s: %v", c.protocol, err)
		}
	}
}
