package manifest

import (
	"errors"
	"fmt"
)

// Code names the reason for a refusal. Codes are part of the protocol's test vectors: both languages give
// the same code for the same input. The sentence beside it may be reworded, a code may not.
type Code string

// The reasons for which something is refused.
const (
	MalformedPlaylist   Code = "malformed-playlist"   // not a playlist of the kind we read, or beyond a limit
	MalformedRecord     Code = "malformed-record"     // bytes that are no record
	MalformedDelegation Code = "malformed-delegation" // bytes that are no delegation
	NoRecord            Code = "no-record"            // a segment or init section without a record
	Signature           Code = "signature"            // a record's signature does not match
	DelegationSignature Code = "delegation-signature" // a delegation's signature does not match
	DelegationChannel   Code = "delegation-channel"   // a delegation of another channel
	DelegationExpired   Code = "delegation-expired"   // the delegation has run out
	DelegationFuture    Code = "delegation-future"    // the delegation is not valid yet
	DelegationRange     Code = "delegation-range"     // the sequence number lies outside the delegation
	DelegationKey       Code = "delegation-key"       // no delegation in the playlist for the record's key
	WrongKind           Code = "kind"                 // an init record where a segment's belongs, or the reverse
	WrongRendition      Code = "rendition"            // a record of another rendition
	WrongSequence       Code = "sequence"             // the record's number is not the playlist's
	WrongTiming         Code = "timing"               // the playlist's start or duration is not the record's
	WrongInit           Code = "init"                 // the segment needs another init section than the one listed
	BrokenChain         Code = "chain"                // the record does not follow the one before it
	NotNext             Code = "not-next"             // a record by itself that does not continue the newest one
	Replay              Code = "replay"               // an old playlist shown again
	Future              Code = "future"               // a record from the future
	Equivocation        Code = "equivocation"         // two contents signed for one place: proof against the signer
	WrongSize           Code = "size"                 // an object of another length than signed
	WrongRoot           Code = "root"                 // bytes or leaf hashes that do not add up to the signed root
	WrongLeafList       Code = "leaf-list"            // a leaf list of the wrong length
	WrongLeaf           Code = "leaf"                 // one leaf whose length or bytes are wrong
)

// Error says in one sentence what was refused and why.
type Error struct {
	Code Code
	// Where names the culprit, for example: segment 873412 of "360p".
	Where string
	// Reason completes the sentence.
	Reason string
	// Leaf is the index of the culprit for code WrongLeaf, otherwise -1.
	Leaf int
	// Proof holds, for Equivocation, the two records that contradict each other. Anybody who knows the
	// channel id and the delegations can check it.
	Proof []Record
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Where + ": " + e.Reason }

// CodeOf returns the code of the first *Error in err's chain, or "" if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func refuse(code Code, where, format string, args ...any) *Error {
	return &Error{Code: code, Where: where, Reason: fmt.Sprintf(format, args...), Leaf: -1}
}

// place names the object that a record describes.
func (r Record) place() string {
	switch r.Kind {
	case KindInit:
		return fmt.Sprintf("the init section of %q", r.Rendition)
	case KindPart:
		return fmt.Sprintf("part %d of segment %d of %q", r.Part, r.Sequence, r.Rendition)
	default:
		return segmentPlace(r.Sequence, r.Rendition)
	}
}

func segmentPlace(number int64, rendition string) string {
	return fmt.Sprintf("segment %d of %q", number, rendition)
}
