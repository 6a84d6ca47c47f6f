package manifest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// The stage on which the tests play: a channel with fixed keys, at a fixed time.
const (
	nowMs   = int64(1_767_225_600_000) // 2026-01-01T00:00:00Z
	number  = nowMs / 2000             // the segment that begins at nowMs
	session = nowMs - 3_600_000
)

// keyFrom makes a key from a text, so that vectors never change.
func keyFrom(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

// pattern is the byte generator that the vectors document; no two of its leaves are alike.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + 13 + i/251)
	}
	return b
}

type stage struct {
	root, signing ed25519.PrivateKey
	channel       Hash
	delegation    Delegation
	init          Record
	previous      Hash
}

func newStage() *stage {
	s := &stage{root: keyFrom("root"), signing: keyFrom("signing")}
	s.channel = ChannelID(s.root.Public().(ed25519.PublicKey))
	s.delegation = s.appoint(s.signing, nil)
	s.init = s.sign(Record{
		Kind: KindInit, Session: session, Rendition: "360p", Sequence: number - 30, StartMs: nowMs - 60_000,
		Size: 700, Root: Root(LeafHashes(pattern(700))), CreatedMs: nowMs - 58_000,
	})
	return s
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err) // a mistake in the test itself
	}
	return value
}

func (s *stage) appoint(key ed25519.PrivateKey, change func(*Delegation)) Delegation {
	d := Delegation{
		FirstSequence: number - 10_000, LastSequence: number + 50_000,
		NotBeforeMs: nowMs - 7_200_000, NotAfterMs: nowMs + 36_000_000, Region: "eu-1",
	}
	copy(d.SigningKey[:], key.Public().(ed25519.PublicKey))
	if change != nil {
		change(&d)
	}
	return must(SignDelegation(d, s.root))
}

func (s *stage) sign(rec Record) Record { return must(SignRecord(rec, s.channel, s.signing)) }

// plain returns an unsigned record of segment n, signed once its media is complete.
func (s *stage) plain(n int64) Record {
	return Record{
		Kind: KindSegment, Session: session, Rendition: "360p", Sequence: n, StartMs: n * 2000, DurationMs: 2000,
		Size: 100_000, Root: sha256.Sum256(fmt.Append(nil, n)), Init: s.init.Root, Previous: s.previous,
		CreatedMs: n*2000 + 2100,
	}
}

// segment signs the next segment of the chain.
func (s *stage) segment(n int64) Record {
	rec := s.sign(s.plain(n))
	s.previous = rec.Hash()
	return rec
}

// window signs count segments that end with segment last.
func (s *stage) window(last int64, count int) []Record {
	var out []Record
	for n := last - int64(count) + 1; n <= last; n++ {
		out = append(out, s.segment(n))
	}
	return out
}

// playlist lists records as the origin does; numbers that are missing between them become gaps.
func (s *stage) playlist(records []Record, delegations ...Delegation) string {
	if len(delegations) == 0 {
		delegations = []Delegation{s.delegation}
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-TARGETDURATION:2", records[0].Sequence)
	for _, d := range delegations {
		line("%s%s", TagDelegation, base64URL.EncodeToString(d.Encode()))
	}
	line("#EXT-X-MAP:URI=\"init-%x.mp4\"\n%s%s", s.init.Root[:8], TagInit, base64URL.EncodeToString(s.init.Encode()))
	for i, rec := range records {
		if i > 0 && rec.Sequence > records[i-1].Sequence+1 {
			for n := records[i-1].Sequence + 1; n < rec.Sequence; n++ {
				line("#EXT-X-GAP\n#EXTINF:2.000,\n%d.m4s", n)
			}
			line("#EXT-X-DISCONTINUITY")
		}
		line("%s%s", TagRecord, base64URL.EncodeToString(rec.Encode()))
		line("#EXT-X-PROGRAM-DATE-TIME:%s", time.UnixMilli(rec.StartMs).UTC().Format("2006-01-02T15:04:05.000Z"))
		line("#EXTINF:%d.%03d,\n%d.m4s", rec.DurationMs/1000, rec.DurationMs%1000, rec.Sequence)
	}
	return b.String()
}
