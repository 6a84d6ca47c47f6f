package manifest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
)

const (
	delegationVersion = 1
	delegationDomain  = "slipstream/delegation/v1\x00"

	// MaxDelegationMs is the longest time for which a signing key may be appointed.
	MaxDelegationMs = 24 * 60 * 60 * 1000
	// MaxRegion is the greatest length of a region's name in bytes.
	MaxRegion = 16
)

// Delegation appoints a signing key for a channel: the root key's word, limited in time and numbers, so that a
// stolen signing key dies by itself and the root key can stay away from the machine that signs.
type Delegation struct {
	RootKey       [ed25519.PublicKeySize]byte
	SigningKey    [ed25519.PublicKeySize]byte
	Region        string // "" or up to 16 of a-z 0-9 - _
	FirstSequence int64  // first segment number the key may sign
	LastSequence  int64  // last one, included
	NotBeforeMs   int64  // ms since the Unix epoch
	NotAfterMs    int64  // at most MaxDelegationMs later
	Signature     [ed25519.SignatureSize]byte
}

// Key returns the id under which records name the appointed key.
func (d Delegation) Key() KeyID { return KeyIDOf(d.SigningKey[:]) }

// Channel returns the id of the channel whose root key is named; only Verify tells whether that key agreed.
func (d Delegation) Channel() Hash { return ChannelID(d.RootKey[:]) }

// Encode returns the delegation's bytes.
func (d Delegation) Encode() []byte { return append(d.body(), d.Signature[:]...) }

// Hash identifies the delegation including its signature.
func (d Delegation) Hash() Hash { return sha256.Sum256(d.Encode()) }

func (d Delegation) body() []byte {
	b := make([]byte, 0, 192)
	b = append(b, delegationVersion)
	b = append(b, d.RootKey[:]...)
	b = append(b, d.SigningKey[:]...)
	b = appendName(b, d.Region)
	b = appendU64(b, d.FirstSequence)
	b = appendU64(b, d.LastSequence)
	b = appendU64(b, d.NotBeforeMs)
	return appendU64(b, d.NotAfterMs)
}

// ParseDelegation reads a delegation and checks its form, not its signature. Errors have code MalformedDelegation.
func ParseDelegation(b []byte) (Delegation, error) {
	r := decoder{rest: b}
	if version := r.u8(); r.err == nil && version != delegationVersion {
		r.err = fmt.Errorf("its version is %d, this program knows version %d", version, delegationVersion)
	}
	d := Delegation{
		RootKey:       r.hash(),
		SigningKey:    r.hash(),
		Region:        r.name(),
		FirstSequence: r.u64("first sequence"),
		LastSequence:  r.u64("last sequence"),
		NotBeforeMs:   r.u64("start of validity"),
		NotAfterMs:    r.u64("end of validity"),
		Signature:     [ed25519.SignatureSize]byte(r.take(ed25519.SignatureSize)),
	}
	err := r.finish()
	if err == nil {
		err = d.validate()
	}
	if err != nil {
		return Delegation{}, refuse(MalformedDelegation, "the delegation", "it is malformed: %v", err)
	}
	return d, nil
}

func (d Delegation) validate() error {
	for _, v := range []int64{d.FirstSequence, d.LastSequence, d.NotBeforeMs, d.NotAfterMs} {
		if v < 0 || v >= maxInteger {
			return errors.New("one of its numbers is outside 0 to 2^53-1")
		}
	}
	switch {
	case !isName(d.Region, 0, MaxRegion):
		return fmt.Errorf("its region is not at most %d of a-z, 0-9, - and _", MaxRegion)
	case d.LastSequence < d.FirstSequence:
		return errors.New("its last sequence number lies before its first")
	case d.NotAfterMs <= d.NotBeforeMs:
		return errors.New("it ends before it begins")
	case d.NotAfterMs-d.NotBeforeMs > MaxDelegationMs:
		return errors.New("it is valid for more than 24 hours")
	}
	return nil
}

// SignDelegation fills in the root key and the signature. It fails if the delegation breaks a rule.
func SignDelegation(d Delegation, root ed25519.PrivateKey) (Delegation, error) {
	copy(d.RootKey[:], root.Public().(ed25519.PublicKey))
	if err := d.validate(); err != nil {
		return Delegation{}, fmt.Errorf("the delegation cannot be signed: %w", err)
	}
	copy(d.Signature[:], ed25519.Sign(root, d.signed(d.Channel())))
	return d, nil
}

// Verify checks that the channel's root key signed the delegation. Codes: DelegationChannel, DelegationSignature.
func (d Delegation) Verify(channel Hash) error {
	where := fmt.Sprintf("the delegation of key %s", d.Key())
	if d.Channel() != channel {
		return refuse(DelegationChannel, where, "it belongs to another channel (%s)", d.Channel())
	}
	if !ed25519.Verify(d.RootKey[:], d.signed(channel), d.Signature[:]) {
		return refuse(DelegationSignature, where, "its signature does not match: it was changed, or the channel's root key did not sign it")
	}
	return nil
}

func (d Delegation) signed(channel Hash) []byte {
	return append(append([]byte(delegationDomain), channel[:]...), d.body()...)
}

// permits checks that the delegation covers a record now. Codes: DelegationFuture, DelegationExpired, DelegationRange.
func (d Delegation) permits(rec Record, nowMs int64) error {
	where := fmt.Sprintf("%s: the delegation of key %s", rec.place(), d.Key())
	switch {
	case nowMs < d.NotBeforeMs-MaxSkewMs || rec.CreatedMs < d.NotBeforeMs-MaxSkewMs:
		return refuse(DelegationFuture, where, "it was not valid yet")
	case nowMs > d.NotAfterMs+MaxSkewMs || rec.CreatedMs > d.NotAfterMs+MaxSkewMs:
		return refuse(DelegationExpired, where, "it has expired")
	case rec.Sequence < d.FirstSequence || rec.Sequence > d.LastSequence:
		return refuse(DelegationRange, where, "it covers segments %d to %d, not %d", d.FirstSequence, d.LastSequence, rec.Sequence)
	}
	return nil
}
