// Package rtc opens WebRTC data channels to neighbours. It is the only package that imports pion.
//
// An [Engine] holds what all connections of one viewer share: settings, certificate, sockets, the resolver for browsers'
// mDNS names. [Engine.Offer] and [Engine.Answer] make a [Conn], which asks for two things only: that the signals it hands
// to OnSignal reach the other side, and that the other side's signals are given to [Conn.Signal]. From then on it carries
// messages, in order and reliably, until one side closes or the network fails:
//
//	Offer ──▶ OnSignal(offer) ┄┄tracker┄┄▶ Answer, Signal(offer) ──▶ OnSignal(answer) ┄┄tracker┄┄▶ Signal(answer)
//	      late candidates travel likewise, both ways
//	OnOpen ──▶ Send, OnMessage, OnBufferedLow … ──▶ OnClosed(reason)
//
// What the package takes care of, because browsers and pion do not:
//
//   - A connection that does not open within ConnectTimeout is closed. ICE alone would take half a minute to give up.
//   - Signals come from strangers. Every value is checked, candidates are counted, and only addresses that make sense are
//     tried: a neighbour cannot make us resolve names of its choice or add lines to a session description.
//   - The certificate of the other side must have the fingerprint that was signalled; there is no setting that turns
//     this off.
//   - A neighbour may not open further data channels, send text, or send messages larger than the protocol knows. Nor
//     may it make us buffer without bound: what it does not read in time makes Send fail with [ErrBufferFull], and
//     what we do not read is held back by SCTP's receive window.
//   - After Close, or when the reason to close comes from outside, all sockets and goroutines end, and OnClosed is the
//     last that is heard of the connection.
package rtc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v4"
	"github.com/pion/webrtc/v4"
)

const (
	defaultConnectTimeout = 10 * time.Second
	defaultLostTimeout    = 10 * time.Second

	// receiveBuffer is what SCTP buffers per connection for us at most, in bytes: enough for 10 MB/s at 100 ms.
	receiveBuffer = 1 << 20
	// socketBuffer is asked of the kernel for each UDP socket: a burst of a whole receive window must fit.
	socketBuffer = 2 << 20
	// minWindow is how much SCTP keeps in flight at least, in bytes, whatever it believes to be congestion. Without it
	// one connection carries 0.27 MB/s at 50 ms and 1 % random loss and 0.06 MB/s at 100 ms and 5 %; with 64 KiB 1.2
	// and 0.3, with 128 KiB 2.3 and 0.4, with 256 KiB 3.4 and 0.6 (BenchmarkLossyNetwork); without loss it makes no
	// difference. It is no licence to flood a slow uplink: the scheduler lets all connections together have 200 ms of
	// what the uplink was measured to carry in flight, and 64 KiB before that is known. But one viewer in a room of
	// twelve that the scheduler misjudges must not be buried, so it is not more than that.
	minWindow = 128 << 10
	// maxRetransmission bounds SCTP's back-off: after a short outage a live stream cannot wait for the standard's 60 s.
	maxRetransmission = 2 * time.Second
	// certificateRest is how long a certificate must still be good to be used for a new connection. pion's are good
	// for a month, and a seeder runs longer.
	certificateRest = 7 * 24 * time.Hour
)

// Config is what an Engine needs to know. The zero value works.
type Config struct {
	Logger         *slog.Logger  // nil: no log
	ICEServers     []ICEServer   // STUN and TURN servers; none needed within one network
	ConnectTimeout time.Duration // from Offer or Answer to OnOpen; 0: 10 s
	LostTimeout    time.Duration // silence after which an open connection is given up; 0: 10 s

	// UDPPort, if not 0, makes all connections share this UDP port on every interface, so that one hole in a firewall
	// is enough. One engine must then serve one viewer only: a shared port tells connections apart by the address
	// at the other end, and two viewers behind one port would be one address to a third.
	UDPPort int

	// Net replaces the machine's network, for tests on a virtual one.
	Net transport.Net
}

// ICEServer is a STUN or TURN server as browsers write it.
type ICEServer struct {
	URLs       []string // "stun:stun.example.org:3478", "turn:…?transport=udp"
	Username   string   // TURN only
	Credential string   // TURN only
}

// Engine makes connections. It is safe for concurrent use.
type Engine struct {
	offering  *webrtc.API // makes the connections that we offer
	answering *webrtc.API // the others
	log       *slog.Logger
	timeout   time.Duration
	resolver  resolver
	mux       io.Closer // nil without UDPPort

	mu          sync.Mutex
	certificate *webrtc.Certificate
	own, told   []webrtc.ICEServer // of the configuration, of the tracker
	relayOnly   bool
	conns       map[*Conn]struct{}
	closed      bool
	running     sync.WaitGroup // one per connection whose resources are not released
}

// New returns an engine. Close it to release its sockets and connections.
func New(cfg Config) (*Engine, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	if cfg.LostTimeout <= 0 {
		cfg.LostTimeout = defaultLostTimeout
	}
	e := &Engine{log: cfg.Logger, timeout: cfg.ConnectTimeout, conns: make(map[*Conn]struct{})}
	e.own = pionServers(cfg.ICEServers)
	if cfg.Net == nil {
		network, err := newMachine()
		if err != nil {
			return nil, err
		}
		cfg.Net = network
		e.resolver = &multicastDNS{log: pionLog{cfg.Logger}}
	} else {
		e.resolver = noResolver{}
	}
	settings := newSettings(cfg)
	if cfg.UDPPort != 0 {
		mux, err := ice.NewMultiUDPMuxFromPort(cfg.UDPPort,
			ice.UDPMuxFromPortWithNet(cfg.Net),
			ice.UDPMuxFromPortWithLoopback(),
			ice.UDPMuxFromPortWithReadBufferSize(socketBuffer),
			ice.UDPMuxFromPortWithWriteBufferSize(socketBuffer),
			ice.UDPMuxFromPortWithLogger(pionLog{cfg.Logger}))
		if err != nil {
			return nil, fmt.Errorf("UDP port %d cannot be opened for WebRTC: %w", cfg.UDPPort, err)
		}
		e.mux = mux
		settings.SetICEUDPMux(mux)
	}
	// No media travels over these connections. Without being told so, pion gives each of them a dozen codecs and a
	// goroutine that wakes up ten times a second to look for lost video packets.
	newAPI := func() *webrtc.API {
		return webrtc.NewAPI(webrtc.WithSettingEngine(settings),
			webrtc.WithMediaEngine(&webrtc.MediaEngine{}), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	}
	e.offering = newAPI()
	// One end's checks and their answers show both ends that the other is there. A check costs as much as a small message.
	settings.SetICETimeouts(cfg.LostTimeout/2, cfg.LostTimeout/2, 0)
	e.answering = newAPI()
	if err := e.probe(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// probe makes one idle connection, so that a wrong ICE server address is known at start.
func (e *Engine) probe() error {
	pc, err := e.newPeerConnection(true)
	if err != nil {
		return fmt.Errorf("WebRTC cannot start, check the ICE servers: %w", err)
	}
	return pc.Close()
}

func newSettings(cfg Config) webrtc.SettingEngine {
	var s webrtc.SettingEngine
	s.LoggerFactory = pionLog{cfg.Logger}
	s.SetNet(cfg.Net)
	s.SetIncludeLoopbackCandidate(true) // if there is nothing else, see machine
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	// Browsers' mDNS names are resolved once for all connections, see resolver. pion would open two more sockets for
	// each connection, all of which receive all multicast.
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DetachDataChannels()
	s.SetSCTPMaxReceiveBufferSize(receiveBuffer)
	s.SetSCTPMinCwnd(minWindow)
	s.SetSCTPRTOMax(maxRetransmission)
	// ICE reports a silent neighbour as disconnected after half of the time and as failed after all of it. A check is sent
	// at least every fifth.
	s.SetICETimeouts(cfg.LostTimeout/2, cfg.LostTimeout/2, cfg.LostTimeout/5)
	// How long the offering side waits for something better than what works already. A browser whose mDNS names we
	// cannot resolve becomes known by its own checks (prflx) only, and should not wait the default second for that.
	s.SetSrflxAcceptanceMinWait(200 * time.Millisecond)
	s.SetPrflxAcceptanceMinWait(200 * time.Millisecond)
	s.SetRelayAcceptanceMinWait(time.Second)
	// HelloVerify protects open DTLS servers from forged source addresses. Behind ICE the address has been proven with
	// the signalled password, and browsers leave the extra round trip out as well.
	s.SetDTLSInsecureSkipHelloVerify(true)
	s.SetDTLSRetransmissionInterval(250 * time.Millisecond)
	// When the other side says goodbye in DTLS, SCTP hears of it too, and so does read. If pion closed the connection by
	// itself, a COOKIE-ECHO that came late could lock its association up (pion/sctp 1.11.1: handleCookieEcho after Abort
	// waits under the lock for whoever waited for the handshake), and Send with it.
	s.DisableCloseByDTLS(true)
	return s
}

func pionServers(servers []ICEServer) (out []webrtc.ICEServer) {
	for _, s := range servers {
		out = append(out, webrtc.ICEServer{URLs: s.URLs, Username: s.Username, Credential: s.Credential})
	}
	return out
}

// Use says which STUN and TURN servers connections use from now on, besides those of the configuration, and whether they
// use relays only: then the other side learns no address of this machine.
func (e *Engine) Use(servers []ICEServer, relayOnly bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told, e.relayOnly = pionServers(servers), relayOnly
}

// Fingerprint is that of the certificate that connections have from now on, as signals show it. After weeks it is another.
func (e *Engine) Fingerprint() (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.certify(); err != nil {
		return "", err
	}
	all, err := e.certificate.GetFingerprints()
	if err != nil {
		return "", err
	}
	for _, f := range all {
		if f.Algorithm == "sha-256" {
			return f.Algorithm + " " + strings.ToUpper(f.Value), nil
		}
	}
	return "", errors.New("our own certificate has no fingerprint")
}

// certify makes a certificate if there is none that is good for a while. The caller holds mu.
func (e *Engine) certify() error {
	if e.certificate != nil && time.Until(e.certificate.Expires()) >= certificateRest {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	e.certificate, err = webrtc.GenerateCertificate(key)
	return err
}

// newPeerConnection makes a pion connection with the engine's certificate, for either side.
func (e *Engine) newPeerConnection(offerer bool) (*webrtc.PeerConnection, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.certify(); err != nil {
		return nil, err
	}
	api := e.answering
	if offerer {
		api = e.offering
	}
	configuration := webrtc.Configuration{
		ICEServers:   slices.Concat(e.own, e.told),
		Certificates: []webrtc.Certificate{*e.certificate},
	}
	if e.relayOnly {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	return api.NewPeerConnection(configuration)
}

// ErrEngineClosed is returned for connections that are wanted after Close.
var ErrEngineClosed = errors.New("the WebRTC engine is closed")

// add registers a connection and starts its clock, unless the engine is closed.
func (e *Engine) add(c *Conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrEngineClosed
	}
	e.conns[c] = struct{}{}
	e.running.Add(1)
	c.mu.Lock()
	c.timeout = time.AfterFunc(e.timeout, func() { c.end(ErrConnectTimeout) })
	c.mu.Unlock()
	return nil
}

// remove is called once for each added connection, when nothing of it is left.
func (e *Engine) remove(c *Conn) {
	e.mu.Lock()
	delete(e.conns, c)
	e.mu.Unlock()
	e.running.Done()
}

// Close closes all connections and returns when all sockets and goroutines are gone. Handlers that block must have a
// way out: Conn.Done. Close must not be called from a handler.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	e.running.Wait()
	e.resolver.close()
	if e.mux != nil {
		_ = e.mux.Close()
	}
}
