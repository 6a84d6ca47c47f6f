package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slipstream/origin/ingest"
	"slipstream/origin/ingest/rtc/rtctest"
)

// A whipLab is a server with WHIP at a URL.
type whipLab struct {
	*lab
	url string
}

func serveWHIP(t *testing.T, change func(*ingest.Config)) *whipLab {
	t.Helper()
	l := &whipLab{lab: serve(t, func(cfg *ingest.Config) {
		cfg.WHIP = "127.0.0.1:0"
		if change != nil {
			change(cfg)
		}
	}, nil)}
	web := httptest.NewServer(l.server.WHIP())
	t.Cleanup(web.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	l.url = web.URL + "/whip/"
	return l
}

func (l *whipLab) publish(path, key string, sound bool) (*rtctest.Publisher, error) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	p, err := rtctest.Dial(ctx, l.url+path, key, sound)
	if err == nil {
		l.t.Cleanup(func() { p.Close() })
	}
	return p, err
}

func (l *whipLab) mustPublish(path, key string, sound bool) *rtctest.Publisher {
	l.t.Helper()
	p, err := l.publish(path, key, sound)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// annexB puts a start code in front of each NAL unit.
func annexB(units ...[]byte) []byte {
	return append([]byte{0, 0, 0, 1}, bytes.Join(units, []byte{0, 0, 0, 1})...)
}

// film sends key frames and sound until the session has begun, and goes on until the test ends or stop is called.
func (l *whipLab) film(p *rtctest.Publisher, sound bool) (s *session, stop func()) {
	l.t.Helper()
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		every := time.NewTicker(20 * ms)
		defer every.Stop()
		for {
			select {
			case <-ended:
				return
			case <-every.C:
			}
			if p.Picture(annexB(sps, pps, bytes.Repeat(keyframe, 1000)), 20*ms) != nil || sound && p.Sound([]byte{0xfc, 1, 2}, 20*ms) != nil {
				return
			}
		}
	}()
	stop = func() {
		select {
		case <-ended:
		default:
			close(ended)
		}
		<-done
	}
	l.t.Cleanup(stop)
	return l.session(), stop
}

func TestAWHIPPublisherReachesItsSession(t *testing.T) {
	l := serveWHIP(t, nil)
	p := l.mustPublish("demo", "secret", true)
	s, _ := l.film(p, true)
	if s.is.Channel != "demo" || s.is.Protocol != "WHIP" || s.is.Audio != nil || !s.is.Opus {
		t.Errorf("the publication is %+v", s.is)
	}
	select {
	case <-p.Asked:
	case <-time.After(10 * time.Second):
		t.Error("no key frame was asked for")
	}
	s.wait(t, 40)
	if answer, err := p.End(t.Context()); err != nil || answer.Status != http.StatusOK {
		t.Errorf("the end: %v, %v", answer, err)
	}
	l.waitLog("the publisher has ended the stream")
	var pictures, sounds []time.Duration
	events := s.wait(t, 1)
	for _, event := range events {
		switch fields := strings.Fields(event); fields[0] {
		case "video":
			pictures = append(pictures, parsed(t, fields[2]))
			if fields[3] != "SPS+PPS+IDR" {
				t.Errorf("a picture consists of %s", fields[3])
			}
		case "audio":
			sounds = append(sounds, parsed(t, fields[1]))
		}
	}
	if events[len(events)-1] != "close" {
		t.Errorf("the session is not closed: %q", events)
	}
	if len(pictures) < 15 || len(sounds) < 15 {
		t.Fatalf("%d pictures and %d sounds came", len(pictures), len(sounds))
	}
	if off := sounds[0] - pictures[0]; off.Abs() > 200*ms {
		t.Errorf("sound begins %v after the picture", off)
	}
	for i := 1; i < len(pictures); i++ {
		if d := pictures[i] - pictures[i-1]; d != 20*ms {
			t.Errorf("picture %d comes %v after the one before", i, d)
		}
	}
}

func TestAWHIPPublisherWithoutSound(t *testing.T) {
	l := serveWHIP(t, nil)
	p := l.mustPublish("demo", "secret", false)
	s, _ := l.film(p, false)
	if s.is.Opus || s.is.Audio != nil {
		t.Errorf("the session expects sound: %+v", s.is)
	}
	p.Close()
	l.waitLog("the publisher has hung up")
}

func TestWhoIsSentAwayOverWHIP(t *testing.T) {
	l := serveWHIP(t, nil)
	const sdp = "application/sdp"
	for name, c := range map[string]struct {
		method, path, key, contentType, body string
		status                               int
		says                                 string
	}{
		"no key":           {"POST", "demo", "", sdp, "v=0", 401, "the stream key is missing"},
		"wrong key":        {"POST", "demo", "guess", sdp, "v=0", 401, "the stream key is wrong"},
		"another's key":    {"POST", "demo", "other", sdp, "v=0", 403, `not that of the channel "demo"`},
		"no such channel":  {"POST", "nothing", "secret", sdp, "v=0", 403, `not that of the channel "nothing"`},
		"no SDP":           {"POST", "demo", "secret", "text/plain", "v=0", 415, "takes application/sdp"},
		"noise":            {"POST", "demo", "secret", sdp, "hello", 400, "malformed"},
		"too long":         {"POST", "demo", "secret", sdp, strings.Repeat("x", 70_000), 413, "more than 65536 bytes"},
		"a player":         {"POST", "demo", "secret", sdp, offer("recvonly", "H264/90000"), 422, "takes publishers only"},
		"another codec":    {"POST", "demo", "secret", sdp, offer("sendonly", "VP8/90000"), 422, "publish H.264 and Opus"},
		"no fingerprint":   {"POST", "demo", "secret", sdp, offer("sendonly", "H264/90000"), 400, "malformed"},
		"an early look":    {"GET", "demo", "secret", "", "", 405, ""},
		"no such session":  {"DELETE", "demo/nothing", "secret", "", "", 404, "there is no such session"},
		"end without key":  {"DELETE", "demo/nothing", "", "", "", 401, "the stream key is missing"},
		"no such candiate": {"PATCH", "demo/nothing", "secret", "application/trickle-ice-sdpfrag", "", 404, "there is no such session"},
	} {
		answer, err := rtctest.Request(t.Context(), c.method, l.url+c.path, c.key, c.contentType, c.body, nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != c.status || !strings.Contains(answer.Body, c.says) {
			t.Errorf("%s: %v, want %d and %q", name, answer, c.status, c.says)
		}
		if answer.Header.Get("Access-Control-Allow-Origin") != "*" || c.status == 401 && !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: the header is %v", name, answer.Header)
		}
	}
	if strings.Contains(l.log.String(), "guess") {
		t.Errorf("the log repeats a stream key:\n%s", l.log)
	}
	l.mustPublish("demo", "secret", true) // nothing of all that has taken the channel
}

func offer(direction, codec string) string {
	return "v=0\r\no=- 1 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=" +
		direction + "\r\na=rtpmap:96 " + codec + "\r\n"
}

func TestPagesOfAnyOriginMayPublish(t *testing.T) {
	l := serveWHIP(t, nil)
	for path, methods := range map[string]string{"demo": "POST", "demo/session": "PATCH, DELETE"} {
		answer, err := rtctest.Request(t.Context(), "OPTIONS", l.url+path, "", "", "", map[string]string{"Origin": "https://example.org"})
		if err != nil {
			t.Fatal(err)
		}
		h := answer.Header
		if answer.Status != 204 || h.Get("Access-Control-Allow-Origin") != "*" || !strings.HasPrefix(h.Get("Access-Control-Allow-Methods"), methods) ||
			!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || h.Get("Accept-Post") != "application/sdp" {
			t.Errorf("%s: %d %v", path, answer.Status, h)
		}
	}
}

func TestASecondPublisherOverWHIPIsToldSo(t *testing.T) {
	l := serveWHIP(t, nil)
	first := l.mustPublish("demo", "secret", true)
	s, _ := l.film(first, true)
	_, err := l.publish("demo", "secret", true)
	var answer *rtctest.Answer
	if !errors.As(err, &answer) || answer.Status != http.StatusConflict || strings.TrimSpace(answer.Body) != `the channel "demo" already has a publisher` {
		t.Errorf("the second publisher is told %v", err)
	}
	if _, err := l.dial("/live#secret", true); err == nil || !strings.Contains(err.Error(), "already has a publisher") {
		t.Errorf("RTMP beside WHIP: %v", err)
	}
	s.wait(t, len(s.wait(t, 1))+10) // the first goes on
	if _, err := first.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := l.mustPublish("demo", "secret", true) // at once: it waits for the last segments
	if second.Session.Path == first.Session.Path {
		t.Errorf("both sessions are %s", first.Session)
	}
	if answer, err := first.End(t.Context()); err != nil || answer.Status != http.StatusNotFound {
		t.Errorf("a second end: %v, %v", answer, err)
	}
	l.film(second, true)
}

// The backup's key publishes to the same address, beside the first publisher.
func TestABackupOverWHIP(t *testing.T) {
	l := serveWHIP(t, func(cfg *ingest.Config) {
		cfg.Authorize = ingest.StreamKeys("live", map[string]string{"demo": "secret", ingest.BackupOf("demo"): "second"})
	})
	l.film(l.mustPublish("demo", "secret", false), false)
	p := l.mustPublish("demo", "second", false)
	if s, _ := l.film(p, false); s.is.Channel != "demo" || !s.is.Backup {
		t.Errorf("the publication is %+v", s.is)
	}
	if _, err := l.publish("demo", "second", false); err == nil || !strings.Contains(err.Error(), `the channel "demo" already has a backup publisher`) {
		t.Errorf("a third publisher is told %v", err)
	}
	if answer, err := p.End(t.Context()); err != nil || answer.Status != http.StatusOK {
		t.Errorf("the end: %v, %v", answer, err)
	}
}

func TestAWHIPPublisherThatFallsSilentIsSentAway(t *testing.T) {
	l := serveWHIP(t, func(cfg *ingest.Config) { cfg.IdleTimeout = 3 * time.Second })
	p := l.mustPublish("demo", "secret", true)
	s, stop := l.film(p, true)
	stop() // the connection stays
	l.waitLog("no picture has come for 3s")
	l.waitLog("the publisher was silent for too long")
	s.wait(t, 1)
	l.film(l.mustPublish("demo", "secret", true), true) // the channel is free
}

func TestFurtherCandidates(t *testing.T) {
	l := serveWHIP(t, nil)
	p := l.mustPublish("demo", "secret", true)
	const fragment = "application/trickle-ice-sdpfrag"
	const candidate = "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n"
	for name, c := range map[string]struct {
		contentType, body, match string
		status                   int
	}{
		"a candidate":          {fragment, candidate, p.Tag, 204},
		"which session?":       {fragment, candidate, "", 428},
		"another session":      {fragment, candidate, `"other"`, 412},
		"a restart":            {fragment, "a=ice-ufrag:new\r\na=ice-pwd:x\r\n", "*", 422},
		"a restart, untold":    {fragment, "a=ice-ufrag:new\r\na=ice-pwd:x\r\n", p.Tag, 422},
		"noise":                {fragment, "hello", p.Tag, 400},
		"another kind":         {"text/plain", candidate, p.Tag, 415},
		"too many candidates":  {fragment, strings.Repeat(candidate, 70), p.Tag, 422},
		"too long a candidate": {fragment, strings.Repeat("a", 20_000), p.Tag, 413},
	} {
		answer, err := rtctest.Request(t.Context(), "PATCH", p.Session.String(), "secret", c.contentType, c.body, map[string]string{"If-Match": c.match})
		if err != nil || answer.Status != c.status {
			t.Errorf("%s: %v, %v, want %d", name, answer, err, c.status)
		}
	}
	l.film(p, true) // it is still there
}

func TestThereAreSoManyPublishersOverWHIP(t *testing.T) {
	l := serveWHIP(t, func(cfg *ingest.Config) { cfg.MaxConnections = 1 })
	l.mustPublish("demo", "secret", true)
	_, err := l.publish("two", "other", true)
	var answer *rtctest.Answer
	if !errors.As(err, &answer) || answer.Status != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one too many is told %v", err)
	}
}

func TestNobodyPublishesToAStoppedServer(t *testing.T) {
	l := serveWHIP(t, nil)
	p := l.mustPublish("demo", "secret", true)
	s, _ := l.film(p, true)
	l.stop()
	if events := s.wait(t, 1); events[len(events)-1] != "close" {
		t.Error("the session outlives the server")
	}
	_, err := l.publish("demo", "secret", true)
	var answer *rtctest.Answer
	if !errors.As(err, &answer) || answer.Status != http.StatusServiceUnavailable {
		t.Errorf("a publisher is told %v", err)
	}
}

// A lossy relay carries UDP packets between a publisher and the server, and loses one in so many of the publisher's media.
func lossyRelay(t *testing.T, port, oneIn int) (relay int, lost *atomic.Int64) {
	t.Helper()
	outer, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	var publisher atomic.Pointer[net.UDPAddr]
	lost = &atomic.Int64{}
	var both sync.WaitGroup
	both.Go(func() {
		buffer := make([]byte, 2048)
		for media := 1; ; {
			n, from, err := outer.ReadFromUDP(buffer)
			if err != nil {
				return
			}
			publisher.Store(from)
			isMedia := n > 1 && buffer[0]>>6 == 2 && (buffer[1]&0x7f < 64 || buffer[1]&0x7f > 95) // RFC 7983, RFC 5761
			if isMedia {
				media++
			}
			if isMedia && media%oneIn == 0 {
				lost.Add(1)
				continue
			}
			_, _ = inner.Write(buffer[:n])
		}
	})
	both.Go(func() {
		buffer := make([]byte, 2048)
		for {
			n, err := inner.Read(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if to := publisher.Load(); err == nil && to != nil {
				_, _ = outer.WriteToUDP(buffer[:n], to)
			}
		}
	})
	t.Cleanup(func() {
		outer.Close()
		inner.Close()
		both.Wait()
	})
	return outer.LocalAddr().(*net.UDPAddr).Port, lost
}

// With one packet in twenty lost, a fifth of the pictures miss a packet. It is asked for again in time.
func TestLossIsRepaired(t *testing.T) {
	l := serveWHIP(t, nil)
	var lost *atomic.Int64
	p, err := rtctest.DialVia(t.Context(), l.url+"demo", "secret", true, func(port int) (relay int) {
		relay, lost = lossyRelay(t, port, 20)
		return relay
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	s, stop := l.film(p, true)
	s.wait(t, 300)
	stop()
	var pictures []time.Duration
	for _, event := range s.wait(t, 300) {
		if fields := strings.Fields(event); fields[0] == "video" {
			pictures = append(pictures, parsed(t, fields[2]))
		}
	}
	sent := int((pictures[len(pictures)-1]-pictures[0])/(20*ms)) + 1
	if missing := sent - len(pictures); missing > sent/20 || lost.Load() < int64(sent/10) {
		t.Errorf("%d packets were lost, and %d of %d pictures are missing", lost.Load(), missing, sent)
	}
}
