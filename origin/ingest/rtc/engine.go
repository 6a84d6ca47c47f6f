package rtc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	// gatherTimeout is how long it may take to list this side's addresses: nobody else is asked.
	gatherTimeout = 5 * time.Second
	socketBuffer  = 2 << 20 // of the shared UDP port: bursts of key frames
	nackInterval  = 50 * time.Millisecond
)

// Engine makes connections. It is safe for concurrent use.
type Engine struct {
	passive *webrtc.API // waits for the publisher to begin DTLS
	active  *webrtc.API // begins it, for publishers that wait
	mux     ice.UDPMux
	address net.Addr
}

// Config describes an engine.
type Config struct {
	Address string // UDP, such as "127.0.0.1:8189", or ":8189" for every interface that there is now
	// Public are the IP addresses that publishers reach this machine at, where they are not its own: behind address translation.
	Public []string
	Logger *slog.Logger
}

// Listen opens a UDP port for all connections.
func Listen(cfg Config) (_ *Engine, err error) {
	for _, ip := range cfg.Public {
		if net.ParseIP(ip) == nil {
			return nil, fmt.Errorf("%.64q is no IP address", ip)
		}
	}
	factory := logging.NewDefaultLoggerFactory() // to an operator, nothing that one connection does is a warning
	factory.Writer = slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug).Writer()
	factory.DefaultLogLevel = logging.LogLevelWarn
	e := &Engine{}
	if err := e.listen(cfg.Address, factory.NewLogger("udp")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	var settings webrtc.SettingEngine
	settings.LoggerFactory = factory
	settings.SetICEUDPMux(e.mux)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	settings.SetIncludeLoopbackCandidate(true) // if it is what we listen on
	if len(cfg.Public) > 0 {
		rule := webrtc.ICEAddressRewriteRule{External: cfg.Public, AsCandidateType: webrtc.ICECandidateTypeHost, Mode: webrtc.ICEAddressRewriteReplace}
		if err := settings.SetICEAddressRewriteRules(rule); err != nil {
			return nil, err
		}
	}
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetDTLSInsecureSkipHelloVerify(true) // ICE has proven the publisher's address already
	media, interceptors, err := formats(factory)
	if err != nil {
		return nil, err
	}
	answering := func(role webrtc.DTLSRole) (*webrtc.API, error) {
		settings := settings
		err := settings.SetAnsweringDTLSRole(role)
		return webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors)), err
	}
	if e.passive, err = answering(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	e.active, err = answering(webrtc.DTLSRoleClient)
	return e, err
}

func (e *Engine) listen(address string, logger logging.LeveledLogger) error {
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return err
	}
	if at.Port != 0 && (at.IP == nil || at.IP.IsUnspecified()) {
		// A socket for each of the machine's addresses, so that answers come from where questions went to.
		options := []ice.UDPMuxFromPortOption{
			ice.UDPMuxFromPortWithLogger(logger),
			ice.UDPMuxFromPortWithReadBufferSize(socketBuffer), ice.UDPMuxFromPortWithWriteBufferSize(socketBuffer),
		}
		if !outward() {
			options = append(options, ice.UDPMuxFromPortWithLoopback())
		}
		mux, err := ice.NewMultiUDPMuxFromPort(at.Port, options...)
		e.mux, e.address = mux, at
		return err
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		return err
	}
	_ = conn.SetReadBuffer(socketBuffer) // the kernel grants what it allows
	_ = conn.SetWriteBuffer(socketBuffer)
	e.mux, e.address = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: logger}), conn.LocalAddr()
	return nil
}

// outward reports whether this machine has an address that others could reach. Whoever is on this machine can reach that, too;
// some publishers try nothing but the first candidate, which must not be loopback then.
func outward() bool {
	addresses, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		prefix, ok := a.(*net.IPNet)
		return ok && prefix.IP.IsGlobalUnicast()
	})
}

// formats says what is negotiated: H.264 in any profile, Opus, and what is told to senders about losses.
func formats(factory logging.LoggerFactory) (*webrtc.MediaEngine, *interceptor.Registry, error) {
	media, interceptors := &webrtc.MediaEngine{}, &interceptor.Registry{}
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}}
	// Payload types are the publisher's. What matters is the profile: constrained baseline (two spellings), baseline, main, high
	// and constrained high. With a profile that is not here pion keeps the publisher's words, too.
	for i, profile := range []string{"42e01f", "42c01f", "42001f", "4d001f", "64001f", "640c1f"} {
		for mode := range 2 {
			err := media.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(96 + 2*i + mode), RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeH264, ClockRate: pictureRate, RTCPFeedback: feedback,
				SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=" + strconv.Itoa(mode) + ";profile-level-id=" + profile,
			}}, webrtc.RTPCodecTypeVideo)
			if err != nil {
				return nil, nil, err
			}
		}
	}
	err := media.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: soundRate, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	}}, webrtc.RTPCodecTypeAudio)
	if err != nil {
		return nil, nil, err
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if err := media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.SDESMidURI}, kind); err != nil {
			return nil, nil, err
		}
	}
	lost, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(nackInterval), nack.WithGeneratorLoggerFactory(factory))
	if err != nil {
		return nil, nil, err
	}
	reports, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(factory))
	if err != nil {
		return nil, nil, err
	}
	interceptors.Add(lost)
	interceptors.Add(reports)
	// Browsers find their bit rate by it.
	return media, interceptors, webrtc.ConfigureTWCCSender(media, interceptors)
}

// Addr is the bound address.
func (e *Engine) Addr() net.Addr { return e.address }

// Close closes the port. Connections are to be closed before.
func (e *Engine) Close() error { return e.mux.Close() }

// Answer accepts an offer. The answer names all of this side's candidates.
func (e *Engine) Answer(ctx context.Context, offer Offer) (_ *Connection, answer string, err error) {
	api := e.passive // RFC 9725, section 4.4: the publisher usually begins
	if offer.passive {
		api = e.active // as with ffmpeg
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, "", fmt.Errorf("a WebRTC connection cannot be made: %w", err)
	}
	c := newConnection(pc, offer)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.sdp}); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	description, err := pc.CreateAnswer(nil)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(description); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	timer := time.NewTimer(gatherTimeout)
	defer timer.Stop()
	select {
	case <-gathered:
	case <-timer.C:
		return nil, "", errors.New("this side's network addresses could not be listed in time")
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	answer = pc.LocalDescription().SDP
	return c, answer, whole(answer)
}

// whole checks that each medium of an answer is accepted: half a publication would mislead (RFC 9725, section 4.4.3).
func whole(answer string) error {
	var s sdp.SessionDescription
	if err := s.UnmarshalString(answer); err != nil {
		return err
	}
	for _, m := range s.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			return fmt.Errorf("the offer's %s has no format that is possible here", m.MediaName.Media)
		}
	}
	return nil
}
