package announce

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind is what a signal is for.
type Kind string

// The kinds of signals.
const (
	Offer     Kind = "offer"
	Answer    Kind = "answer"
	Candidate Kind = "candidate"
)

// The values of Signal.Setup (RFC 8842).
const (
	ActPass = "actpass"
	Active  = "active"
	Passive = "passive"
)

// Signal is what differs between two session descriptions. Every field has an alphabet without line breaks: whoever
// rebuilds the description can paste the values in as they are.
type Signal struct {
	Kind        Kind     `json:"kind"`
	Ufrag       string   `json:"ufrag"`
	Pwd         string   `json:"pwd,omitempty"`         // offer and answer
	Fingerprint string   `json:"fingerprint,omitempty"` // offer and answer: "sha-256 AA:BB:…"
	Setup       string   `json:"setup,omitempty"`       // offer and answer
	Candidates  []string `json:"candidates"`            // "candidate:…"
}

func (s Signal) check() error {
	if !between(len(s.Ufrag), 4, 64) || !only(s.Ufrag, iceChars) {
		return fmt.Errorf("ufrag is not 4–64 characters of A–Z a–z 0–9 + /")
	}
	if len(s.Candidates) > MaxCandidates {
		return fmt.Errorf("candidates has more than %d entries", MaxCandidates)
	}
	for _, c := range s.Candidates {
		if err := checkCandidate(c); err != nil {
			return err
		}
	}
	switch s.Kind {
	case Offer, Answer:
		return s.checkDescription()
	case Candidate:
		if s.Pwd != "" || s.Fingerprint != "" || s.Setup != "" {
			return fmt.Errorf("a candidate signal has no pwd, fingerprint or setup")
		}
		if len(s.Candidates) == 0 {
			return fmt.Errorf("candidates is empty")
		}
		return nil
	}
	return fmt.Errorf(`kind is not "offer", "answer" or "candidate"`)
}

func (s Signal) checkDescription() error {
	if !between(len(s.Pwd), 22, 128) || !only(s.Pwd, iceChars) {
		return fmt.Errorf("pwd is not 22–128 characters of A–Z a–z 0–9 + /")
	}
	if !isFingerprint(s.Fingerprint) {
		return fmt.Errorf(`fingerprint is not "sha-256 " and 32 upper-case hexadecimal pairs`)
	}
	switch {
	case s.Setup == Active, s.Setup == Passive:
		return nil
	case s.Setup == ActPass && s.Kind == Offer:
		return nil
	}
	return fmt.Errorf("setup does not fit an %s", s.Kind)
}

// isFingerprint accepts SHA-256 only: it is what every browser and pion use, and one algorithm is one length.
func isFingerprint(s string) bool {
	const prefix, pairs = "sha-256 ", 32
	hex, ok := strings.CutPrefix(s, prefix)
	if !ok || len(hex) != 3*pairs-1 {
		return false
	}
	for i := range len(hex) {
		if i%3 == 2 {
			if hex[i] != ':' {
				return false
			}
		} else if !upperHex.has(hex[i]) {
			return false
		}
	}
	return true
}

// checkCandidate holds a candidate to the shape of RFC 8839 5.1, up to its type; extensions after it only to the
// alphabet.
func checkCandidate(s string) error {
	if len(s) > MaxCandidate {
		return fmt.Errorf("a candidate has more than %d characters", MaxCandidate)
	}
	rest, ok := strings.CutPrefix(s, "candidate:")
	if !ok || !only(rest, candidateChars) {
		return fmt.Errorf(`a candidate does not begin with "candidate:" or has characters other than A–Z a–z 0–9 space . : + / _ -`)
	}
	f := strings.Split(rest, " ")
	for _, x := range f {
		if x == "" {
			return fmt.Errorf("a candidate has an empty field")
		}
	}
	if len(f) < 8 || f[6] != "typ" {
		return fmt.Errorf("a candidate is not “foundation component transport priority address port typ type”")
	}
	if !between(len(f[0]), 1, 32) || !only(f[0], iceChars) {
		return fmt.Errorf("a candidate's foundation is not 1–32 characters of A–Z a–z 0–9 + /")
	}
	if !inRange(f[1], 1, 256) || !inRange(f[3], 0, 1<<32-1) || !inRange(f[5], 0, 65535) {
		return fmt.Errorf("a candidate's component, priority or port is out of range")
	}
	if t := strings.ToLower(f[2]); t != "udp" && t != "tcp" {
		return fmt.Errorf("a candidate's transport is not udp or tcp")
	}
	switch f[7] {
	case "host", "srflx", "prflx", "relay":
		return nil
	}
	return fmt.Errorf("a candidate's type is not host, srflx, prflx or relay")
}

// inRange reads a decimal number without sign; ten digits hold every number that a candidate has.
func inRange(s string, low, high uint64) bool {
	if len(s) > 10 || !only(s, digits) {
		return false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && low <= n && n <= high
}
