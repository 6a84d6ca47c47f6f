package rtc

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
)

// offerOf is an offer of one medium, as libdatachannel (OBS) writes it.
func offerOf(kind, codec, direction string) string {
	return "v=0\r\no=rtc 1 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic:WMS *\r\n" +
		"a=setup:actpass\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=ice-options:ice2,trickle\r\n" +
		"a=fingerprint:sha-256 " + strings.Repeat("AB:", 31) + "AB\r\n" + section(kind, codec, direction)
}

func section(kind, codec, direction string) string {
	mid := map[string]string{"video": "0", "audio": "1"}[kind]
	return "m=" + kind + " 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:" + mid + "\r\na=" + direction + "\r\na=rtcp-mux\r\na=rtpmap:96 " + codec + "\r\n"
}

const fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n" +
	"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag abcd network-id 1\r\n" +
	"a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n" +
	"a=candidate:1 1 udp 2122260223 7c3b5e4a-0000-4000-8000-000000000000.local 61764 typ host\r\n" +
	"a=candidate:nonsense\r\na=end-of-candidates\r\n"

func TestOffers(t *testing.T) {
	video := offerOf("video", "H264/90000", "sendonly")
	audio := section("audio", "opus/48000/2", "sendonly")
	for _, c := range []struct{ name, offer, want string }{
		{"picture and sound", video + audio, ""},
		{"picture only", video, ""},
		{"a browser that could receive too", offerOf("video", "h264/90000", "sendrecv"), ""},
		{"noise", "hello", "malformed"},
		{"nothing", "", "malformed"},
		{"too long", video + strings.Repeat("a=x\r\n", MaxOffer/5), "more than 65536 bytes"},
		{"no picture", offerOf("audio", "opus/48000/2", "sendonly"), "0 pictures and 1 sounds"},
		{"two pictures", video + section("video", "H264/90000", "sendonly"), "2 pictures"},
		{"another codec", offerOf("video", "VP8/90000", "sendonly"), "video is not possible as H264/90000: publish H.264 and Opus"},
		{"another sound", video + section("audio", "PCMU/8000", "sendonly"), "audio is not possible as opus/48000/2"},
		{"a player", offerOf("video", "H264/90000", "recvonly"), "takes publishers only"},
		{"a data channel", video + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n", `"application"`},
		{"many candidates", video + strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n", 65), "65 candidates"},
	} {
		_, err := ReadOffer([]byte(c.offer))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if errors.Is(err, ErrMalformed) != (c.name == "noise" || c.name == "nothing" || c.name == "too long") {
			t.Errorf("%s: is it malformed? %v", c.name, err)
		}
	}
}

func TestFragments(t *testing.T) {
	f, err := ReadFragment([]byte(fragment))
	if err != nil || f.ufrag != "abcd" || len(f.candidates) != 1 || !strings.Contains(f.candidates[0], "192.0.2.1 61764") {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := ReadFragment([]byte("hello")); !errors.Is(err, ErrMalformed) {
		t.Errorf("noise: %v", err)
	}
	if _, err := ReadFragment([]byte(strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n", 65))); err == nil {
		t.Error("any number of candidates is read")
	}
}

// Whatever H.264 profile a publisher names, the answer takes it, with all addresses and as the other side of DTLS.
func TestAnswers(t *testing.T) {
	e, err := Listen(Config{Address: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, parameters := range []string{
		"profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", // libdatachannel
		"level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=64001f",
		"packetization-mode=1;profile-level-id=f4001f", "profile-level-id=42e00a", "",
	} {
		text := offerOf("video", "H264/90000", "sendonly") + "a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=ssrc:42 cname:x\r\n"
		if parameters != "" {
			text += "a=fmtp:96 " + parameters + "\r\n"
		}
		offer, err := ReadOffer([]byte(text + section("audio", "opus/48000/2", "sendonly")))
		if err != nil {
			t.Fatal(err)
		}
		c, answer, err := e.Answer(t.Context(), offer)
		if err != nil {
			t.Errorf("%s: %v", parameters, err)
			continue
		}
		port := e.Addr().(*net.UDPAddr).Port
		for _, want := range []string{"a=rtpmap:96 H264/90000", "a=setup:passive", "a=recvonly", "nack pli", fmt.Sprintf("127.0.0.1 %d typ host", port), "end-of-candidates"} {
			if !strings.Contains(answer, want) {
				t.Errorf("%s: the answer has no %q:\n%s", parameters, want, answer)
			}
		}
		if err := c.Trickle(Fragment{ufrag: "abcd", candidates: []string{"candidate:1 1 udp 1 192.0.2.1 1 typ host"}}); err != nil {
			t.Error(err)
		}
		if err := c.Trickle(Fragment{ufrag: "other"}); err == nil {
			t.Error("ICE is started anew")
		}
		if err := c.Trickle(Fragment{candidates: slices.Repeat([]string{"candidate:1 1 udp 1 192.0.2.1 1 typ host"}, maxCandidates)}); err == nil {
			t.Error("any number of candidates is tried")
		}
		c.Close()
	}
	waits := strings.Replace(offerOf("video", "H264/90000", "sendonly"), "actpass", "passive", 1)
	offer, err := ReadOffer([]byte(waits))
	if err != nil {
		t.Fatal(err)
	}
	c, answer, err := e.Answer(t.Context(), offer)
	if err != nil || !strings.Contains(answer, "a=setup:active") {
		t.Fatalf("to one that waits: %v\n%s", err, answer)
	}
	c.Close()
}

func TestAnswersNameThePublicAddress(t *testing.T) {
	if _, err := Listen(Config{Address: "127.0.0.1:0", Public: []string{"example.org"}}); err == nil || !strings.Contains(err.Error(), `"example.org" is no IP address`) {
		t.Errorf("a name: %v", err)
	}
	e, err := Listen(Config{Address: "127.0.0.1:0", Public: []string{"203.0.113.7"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	offer, err := ReadOffer([]byte(offerOf("video", "H264/90000", "sendonly")))
	if err != nil {
		t.Fatal(err)
	}
	c, answer, err := e.Answer(t.Context(), offer)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if want := fmt.Sprintf("203.0.113.7 %d typ host", e.Addr().(*net.UDPAddr).Port); !strings.Contains(answer, want) || strings.Contains(answer, "127.0.0.1") {
		t.Errorf("the answer should have %q and nothing else:\n%s", want, answer)
	}
}
