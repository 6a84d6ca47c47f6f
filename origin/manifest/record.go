package manifest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// Kind says what a record describes.
type Kind uint8

// The kinds of objects.
const (
	KindInit    Kind = 0 // ftyp and moov that segments need
	KindSegment Kind = 1 // one media segment
	KindPart    Kind = 2 // one part of a segment (low latency)
)

const (
	recordVersion = 1
	recordDomain  = "slipstream/record/v1\x00"
	channelDomain = "slipstream/channel/v1\x00"

	// MaxRendition is the greatest length of a rendition's name in bytes.
	MaxRendition = 32
)

// KeyID names a signing key: the first 8 bytes of the SHA-256 of its public key.
type KeyID [8]byte

// KeyIDOf returns the id of a public signing key.
func KeyIDOf(public ed25519.PublicKey) KeyID {
	sum := sha256.Sum256(public)
	return KeyID(sum[:8])
}

// String returns 16 hexadecimal digits.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// ChannelID returns the id of the channel that a root public key owns.
func ChannelID(root ed25519.PublicKey) Hash {
	return sha256.Sum256(append([]byte(channelDomain), root...))
}

// Record binds a place on a channel's timeline to bytes. It is comparable with ==.
type Record struct {
	Kind       Kind
	Session    int64  // when this run of the origin began, ms since the Unix epoch
	Variant    uint32 // 0; tells apart encoders that are not byte-identical
	Rendition  string // 1 to 32 of a-z 0-9 - _
	Sequence   int64  // segment number; for an init section the first segment it was signed for
	Part       int    // index of the part within its segment; 0 unless KindPart
	StartMs    int64  // start of the media, ms since the Unix epoch
	DurationMs int64  // length of the media; 0 for an init section, else at least 1
	Size       int64  // bytes, 1 to MaxObjectSize
	Root       Hash   // tree root of the bytes
	Init       Hash   // tree root of the init section needed; zero for an init section itself
	// Previous is the Hash of the segment record before this one in the rendition, zero for the very first.
	// The chain runs over segments only, and runs on when the origin restarts. Zero for an init section.
	Previous  Hash
	CreatedMs int64 // when it was signed, ms since the Unix epoch
	Key       KeyID
	Signature [ed25519.SignatureSize]byte
}

// Hash identifies the record including its signature; the next record names it as Previous.
func (r Record) Hash() Hash { return sha256.Sum256(r.Encode()) }

// Encode returns the record's bytes. Records that come from SignRecord or ParseRecord encode to bytes that
// ParseRecord accepts.
func (r Record) Encode() []byte { return append(r.body(), r.Signature[:]...) }

func (r Record) body() []byte {
	b := make([]byte, 0, 256)
	b = append(b, recordVersion, byte(r.Kind))
	b = appendU64(b, r.Session)
	b = binary.BigEndian.AppendUint32(b, r.Variant)
	b = appendName(b, r.Rendition)
	b = appendU64(b, r.Sequence)
	b = binary.BigEndian.AppendUint16(b, uint16(r.Part))
	b = appendU64(b, r.StartMs)
	b = binary.BigEndian.AppendUint32(b, uint32(r.DurationMs))
	b = binary.BigEndian.AppendUint32(b, uint32(r.Size))
	b = append(b, r.Root[:]...)
	b = append(b, r.Init[:]...)
	b = append(b, r.Previous[:]...)
	b = appendU64(b, r.CreatedMs)
	return append(b, r.Key[:]...)
}

// ParseRecord reads a record and checks its form, not its signature. Errors have code MalformedRecord.
func ParseRecord(b []byte) (Record, error) {
	d := decoder{rest: b}
	if version := d.u8(); d.err == nil && version != recordVersion {
		d.err = fmt.Errorf("its version is %d, this program knows version %d", version, recordVersion)
	}
	r := Record{
		Kind:       Kind(d.u8()),
		Session:    d.u64("session"),
		Variant:    uint32(d.u32()),
		Rendition:  d.name(),
		Sequence:   d.u64("sequence"),
		Part:       d.u16(),
		StartMs:    d.u64("start"),
		DurationMs: d.u32(),
		Size:       d.u32(),
		Root:       d.hash(),
		Init:       d.hash(),
		Previous:   d.hash(),
		CreatedMs:  d.u64("creation time"),
		Key:        KeyID(d.take(8)),
		Signature:  [ed25519.SignatureSize]byte(d.take(ed25519.SignatureSize)),
	}
	err := d.finish()
	if err == nil {
		err = r.validate()
	}
	if err != nil {
		return Record{}, refuse(MalformedRecord, "the record", "it is malformed: %v", err)
	}
	return r, nil
}

// validate holds a record to the rules of its kind; signer and parser share them.
func (r Record) validate() error {
	for _, v := range []int64{r.Session, r.Sequence, r.StartMs, r.CreatedMs} {
		if v < 0 || v >= maxInteger {
			return errors.New("one of its numbers is outside 0 to 2^53-1")
		}
	}
	switch {
	case r.Kind > KindPart:
		return fmt.Errorf("its kind is %d", r.Kind)
	case !isName(r.Rendition, 1, MaxRendition):
		return fmt.Errorf("its rendition is not 1 to %d of a-z, 0-9, - and _", MaxRendition)
	case r.Size < 1 || r.Size > MaxObjectSize:
		return fmt.Errorf("its size is %d bytes; 1 to %d are allowed", r.Size, MaxObjectSize)
	case r.Part < 0 || r.Part > 0xffff || r.Kind != KindPart && r.Part != 0:
		return errors.New("its part number does not fit its kind")
	case r.DurationMs < 0 || r.DurationMs > 0xffffffff || (r.DurationMs == 0) != (r.Kind == KindInit):
		return errors.New("its duration does not fit its kind")
	case r.Root.IsZero():
		return errors.New("it has no root")
	case r.Init.IsZero() != (r.Kind == KindInit):
		return errors.New("its init section does not fit its kind")
	case r.Kind == KindInit && !r.Previous.IsZero():
		return errors.New("an init section has no record before it")
	}
	return nil
}

// SignRecord fills in the key id and the signature. It fails if the record breaks a rule of its kind.
func SignRecord(rec Record, channel Hash, key ed25519.PrivateKey) (Record, error) {
	if err := rec.validate(); err != nil {
		return Record{}, fmt.Errorf("the record of %s cannot be signed: %w", rec.place(), err)
	}
	rec.Key = KeyIDOf(key.Public().(ed25519.PublicKey))
	copy(rec.Signature[:], ed25519.Sign(key, rec.signed(channel)))
	return rec, nil
}

// SignedBy reports whether the signature is that of the given public key for the given channel.
func (r Record) SignedBy(channel Hash, public [ed25519.PublicKeySize]byte) bool {
	return ed25519.Verify(public[:], r.signed(channel), r.Signature[:])
}

func (r Record) signed(channel Hash) []byte {
	return append(append([]byte(recordDomain), channel[:]...), r.body()...)
}
