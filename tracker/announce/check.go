package announce

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// alphabet is a set of ASCII characters.
type alphabet [2]uint64

func newAlphabet(chars string) (a alphabet) {
	for _, c := range []byte(chars) {
		a[c>>6&1] |= 1 << (c & 63)
	}
	return a
}

func (a *alphabet) has(c byte) bool { return c < 128 && a[c>>6]>>(c&63)&1 == 1 }

const (
	lower = "abcdefghijklmnopqrstuvwxyz"
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	deci  = "0123456789"
)

var (
	digits         = newAlphabet(deci)
	hexDigits      = newAlphabet(deci + "abcdef")
	upperHex       = newAlphabet(deci + "ABCDEF")
	iceChars       = newAlphabet(lower + upper + deci + "+/")
	serverChars    = newAlphabet(lower + upper + deci + "+/=.:?[]_-")
	candidateChars = newAlphabet(lower + upper + deci + " .:+/_-")
	renditionChars = newAlphabet(lower + deci + "_-")
	codeChars      = newAlphabet(lower + deci + "-")
	tokenChars     = newAlphabet(lower + upper + deci + "._-")
)

func only(s string, a alphabet) bool {
	for i := range len(s) {
		if !a.has(s[i]) {
			return false
		}
	}
	return true
}

func between(n, low, high int) bool { return low <= n && n <= high }

func (m Join) check() error {
	switch {
	case m.Version < 0 || m.Version > MaxInteger:
		return fmt.Errorf("version is not an integer from 0 to 2^53 − 1")
	case m.Token != "" && !IsToken(m.Token):
		return errToken
	case m.Role != Viewer && m.Role != Seeder:
		return fmt.Errorf(`role is not "viewer" or "seeder"`)
	case m.UplinkBps < 0 || m.UplinkBps > MaxInteger:
		return fmt.Errorf("uplinkBps is not an integer from 0 to %d", MaxInteger)
	}
	if m.NAT != UnknownNAT {
		if err := checkCode("nat", string(m.NAT)); err != nil {
			return err
		}
	}
	return checkRenditions(m.Renditions)
}

// IsToken tells whether s could be a token.
func IsToken(s string) bool { return between(len(s), 1, MaxToken) && only(s, tokenChars) }

var errToken = fmt.Errorf("token is not 1–%d characters of A–Z a–z 0–9 . _ -", MaxToken)

func (m Renew) check() error {
	if !IsToken(m.Token) {
		return errToken
	}
	return nil
}

func (m SignalTo) check() error { return checkSignal("to", m.To, m.Signal) }

func (m SignalFrom) check() error { return checkSignal("from", m.From, m.Signal) }

func checkSignal(name string, id PeerID, s Signal) error {
	if id == 0 {
		return fmt.Errorf("%s is 0, which names nobody", name)
	}
	return s.check()
}

func (m Report) check() error {
	for _, n := range []struct {
		name  string
		value int64
		max   int64
	}{
		{"neighbours", m.Neighbours, MaxNeighbours}, {"uplinkBps", m.UplinkBps, MaxInteger},
		{"httpBytes", m.HTTPBytes, MaxInteger}, {"p2pBytes", m.P2PBytes, MaxInteger},
		{"uploadedBytes", m.UploadedBytes, MaxInteger}, {"stalls", m.Stalls, MaxInteger},
		{"stallMs", m.StallMs, MaxInteger}, {"latencyMs", m.LatencyMs, MaxInteger}, {"rescues", m.Rescues, MaxInteger},
	} {
		if n.value < 0 || n.value > n.max {
			return fmt.Errorf("%s is not an integer from 0 to %d", n.name, n.max)
		}
	}
	if len(m.Dropped) > MaxDropped {
		return fmt.Errorf("dropped has more than %d entries", MaxDropped)
	}
	for _, d := range m.Dropped {
		if d.ID == 0 {
			return fmt.Errorf("a dropped id is 0, which names nobody")
		}
		if err := checkCode("a dropped reason", string(d.Reason)); err != nil {
			return err
		}
	}
	if len(m.RTTs) > MaxRTTs {
		return fmt.Errorf("rtts has more than %d entries", MaxRTTs)
	}
	for _, r := range m.RTTs {
		if r.ID == 0 {
			return fmt.Errorf("an id of rtts is 0, which names nobody")
		}
		if r.Ms < 0 || r.Ms > MaxRTT {
			return fmt.Errorf("a round trip is not from 0 to %d ms", MaxRTT)
		}
	}
	return checkRenditions(m.Renditions)
}

func (Leave) check() error { return nil }

func (m Welcome) check() error {
	switch {
	case m.ID == 0:
		return fmt.Errorf("id is 0, which names nobody")
	case m.ReportMs < MinReportMs || m.ReportMs > MaxReportMs:
		return fmt.Errorf("reportMs is not from %d to %d", MinReportMs, MaxReportMs)
	case m.Viewers < 0 || m.Viewers > MaxInteger:
		return fmt.Errorf("viewers is not an integer from 0 to 2^53 − 1")
	case m.RenewMs < 0 || m.RenewMs > MaxInteger:
		return fmt.Errorf("renewMs is not an integer from 0 to 2^53 − 1")
	case len(m.ICEServers) > MaxICEServers:
		return fmt.Errorf("iceServers has more than %d entries", MaxICEServers)
	}
	for _, s := range m.ICEServers {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

func (s ICEServer) check() error {
	if !between(len(s.URLs), 1, MaxICEServers) {
		return fmt.Errorf("a server has no URL, or more than %d", MaxICEServers)
	}
	for _, u := range s.URLs {
		if !strings.HasPrefix(u, "stun:") && !strings.HasPrefix(u, "turn:") {
			return fmt.Errorf(`a server's URL does not begin with "stun:" or "turn:"`)
		}
	}
	for _, text := range slices.Concat(s.URLs, []string{s.Username, s.Credential}) {
		if len(text) > MaxICEText || !only(text, serverChars) {
			return fmt.Errorf("a server's URL, username or credential is not at most %d characters of A–Z a–z 0–9 + / = . : ? [ ] _ -", MaxICEText)
		}
	}
	return nil
}

func (m Neighbour) check() error { return checkID(m.ID) }

func (m Gone) check() error { return checkID(m.ID) }

func checkID(id PeerID) error {
	if id == 0 {
		return fmt.Errorf("id is 0, which names nobody")
	}
	return nil
}

func (m Duty) check() error {
	if len(m.Duties) > MaxDuties {
		return fmt.Errorf("duties has more than %d entries", MaxDuties)
	}
	for i, d := range m.Duties {
		if err := checkRendition(d.Rendition); err != nil {
			return err
		}
		if d.Stripes == 0 {
			return fmt.Errorf("stripes is not from 1 to 65535")
		}
		for _, other := range m.Duties[:i] {
			if other.Rendition == d.Rendition {
				return fmt.Errorf("duties names a rendition twice")
			}
		}
	}
	return nil
}

func (m Cap) check() error {
	if m.UploadBps < 0 || m.UploadBps > MaxCap {
		return fmt.Errorf("uploadBps is not from 0 to %d", int64(MaxCap))
	}
	return nil
}

func (m Error) check() error {
	if err := checkCode("code", m.Code); err != nil {
		return err
	}
	if m.Message == "" || !IsText(m.Message) {
		return fmt.Errorf("message is empty, longer than %d bytes or has control characters", MaxText)
	}
	return nil
}

func checkRenditions(list []string) error {
	if len(list) > MaxRenditions {
		return fmt.Errorf("renditions has more than %d entries", MaxRenditions)
	}
	for i, r := range list {
		if err := checkRendition(r); err != nil {
			return err
		}
		for _, other := range list[:i] {
			if other == r {
				return fmt.Errorf("renditions names one twice")
			}
		}
	}
	return nil
}

func checkRendition(s string) error {
	if !between(len(s), 1, MaxRenditionName) || !only(s, renditionChars) {
		return fmt.Errorf("a rendition is not 1–%d characters of a–z 0–9 _ -", MaxRenditionName)
	}
	return nil
}

func checkCode(name, s string) error {
	if !between(len(s), 1, 32) || !only(s, codeChars) || !strings.ContainsRune(lower, rune(s[0])) {
		return fmt.Errorf("%s is not 1–32 characters of a–z 0–9 -, the first a letter", name)
	}
	return nil
}

// IsText tells whether s may be a text: at most MaxText bytes of UTF-8 without control characters.
func IsText(s string) bool {
	if len(s) > MaxText || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || 0x7f <= r && r <= 0x9f || r == 0x2028 || r == 0x2029 {
			return false
		}
	}
	return true
}
