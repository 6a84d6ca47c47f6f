// Package rtctest is a WHIP publisher (RFC 9725) for tests: pion, as OBS would do it.
package rtctest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// candidates of an SDP, with their ports.
var candidates = regexp.MustCompile(`a=candidate:\S+ \d udp \d+ \S+ (\d+) .*\r\n`)

// A Publisher sends pictures and sound.
type Publisher struct {
	Session *url.URL      // where it can be ended
	Tag     string        // the entity tag of its ICE session
	Asked   chan struct{} // has a token when a key frame was asked for

	key          string
	pc           *webrtc.PeerConnection
	video, audio *webrtc.TrackLocalStaticSample
}

// An Answer is one that is not the session's beginning.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Error implements error.
func (a *Answer) Error() string { return fmt.Sprintf("%d: %s", a.Status, strings.TrimSpace(a.Body)) }

// Dial publishes at an endpoint with a stream key, and waits until media can flow. A refusal is an *Answer.
func Dial(ctx context.Context, endpoint, key string, sound bool) (*Publisher, error) {
	return DialVia(ctx, endpoint, key, sound, nil)
}

// DialVia is Dial with a relay in between, whose port, on this machine, takes the place of the other side's. nil: there is none.
func DialVia(ctx context.Context, endpoint, key string, sound bool, relay func(port int) int) (_ *Publisher, err error) {
	p := &Publisher{key: key, Asked: make(chan struct{}, 1)}
	if p.pc, err = webrtc.NewPeerConnection(webrtc.Configuration{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	connected := make(chan struct{})
	p.pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	if p.video, err = p.add(webrtc.MimeTypeH264, "video"); err != nil {
		return nil, err
	}
	if sound {
		if p.audio, err = p.add(webrtc.MimeTypeOpus, "audio"); err != nil {
			return nil, err
		}
	}
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		return nil, err
	}
	<-gathered
	sdp := p.pc.LocalDescription().SDP
	if relay != nil {
		sdp = candidates.ReplaceAllString(sdp, "") // the other side learns of the relay by what comes from there
	}
	answer, err := p.post(ctx, endpoint, sdp)
	if err != nil {
		return nil, err
	}
	if relay != nil {
		port, err := strconv.Atoi(candidates.FindStringSubmatch(answer)[1])
		if err != nil {
			return nil, err
		}
		through := fmt.Sprintf("a=candidate:1 1 udp 1 127.0.0.1 %d typ host\r\n", relay(port))
		answer = candidates.ReplaceAllString(answer, through)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return nil, err
	}
	select {
	case <-connected:
		return p, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the connection is not there: %w", ctx.Err())
	}
}

func (p *Publisher) add(mime, id string) (*webrtc.TrackLocalStaticSample, error) {
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, id, "stream")
	if err != nil {
		return nil, err
	}
	transceiver, err := p.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, err
	}
	go p.listen(transceiver.Sender())
	return track, nil
}

// listen reads what the other side says about a stream.
func (p *Publisher) listen(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if _, ok := packet.(*rtcp.PictureLossIndication); ok {
				select {
				case p.Asked <- struct{}{}:
				default:
				}
			}
		}
	}
}

func (p *Publisher) post(ctx context.Context, endpoint, offer string) (string, error) {
	answer, err := Request(ctx, http.MethodPost, endpoint, p.key, "application/sdp", offer, nil)
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusCreated {
		return "", answer
	}
	base, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	if p.Session, err = base.Parse(answer.Header.Get("Location")); err != nil {
		return "", err
	}
	p.Tag = answer.Header.Get("ETag")
	return answer.Body, nil
}

// Request makes one request.
func Request(ctx context.Context, method, address, key, contentType, body string, header map[string]string) (*Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return &Answer{response.StatusCode, response.Header, string(text)}, err
}

// Picture sends an access unit with start codes (Annex B) that lasts for d.
func (p *Publisher) Picture(accessUnit []byte, d time.Duration) error {
	return p.video.WriteSample(media.Sample{Data: accessUnit, Duration: d})
}

// Sound sends an Opus packet that lasts for d.
func (p *Publisher) Sound(packet []byte, d time.Duration) error {
	return p.audio.WriteSample(media.Sample{Data: packet, Duration: d})
}

// End ends the session in the orderly way.
func (p *Publisher) End(ctx context.Context) (*Answer, error) {
	return Request(ctx, http.MethodDelete, p.Session.String(), p.key, "", "", nil)
}

// Close hangs up.
func (p *Publisher) Close() error { return p.pc.GracefulClose() }
