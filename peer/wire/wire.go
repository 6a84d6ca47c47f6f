// Package wire is the language that two neighbours speak over their data channel: thirteen small binary messages, their
// encoding and their limits. The specification in prose is ../PROTOCOL.md; its examples are testdata/vectors.json, which
// the TypeScript twin of this package replays as well.
//
// A conversation in short: both sides say HELLO and announce with HAVE which pieces (one to four leaves of 16 KiB) of
// which objects they hold; GAIN and LOST keep that true, and COMING says what is on its way to them. Whoever lacks a piece
// sends REQUEST; each requested leaf is answered once, with LEAF or with REFUSE, unless CANCEL takes it back. The hashes
// that let a receiver check one leaf at a time travel as LEAVES. Whoever hears of an object that it has no record of
// sends ASK, and gets the signed RECORD: so the live edge travels from neighbour to neighbour.
//
// Objects are named by a Key, the first 8 bytes of the root of their hash tree: enough to tell the few hundred objects
// of a live window apart. It is a name and never a proof: what arrives under it is checked against the full signed root
// (package store).
//
// One message of the data channel carries one of these or several, one after the other: a bundle. Nothing around them is
// needed, since each tells its own length but LEAF, which ends the bundle.
//
// The package is a pure core. Decode treats its input as hostile: it never panics, never allocates more than the input
// justifies, and refuses whatever it would not encode in exactly the same bytes, so a message has one encoding only.
package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Version is the version of the protocol, carried in HELLO.
const Version = 2

// Limits of single messages. A message beyond them is not decoded, and its sender is dropped.
const (
	// LeafSize is the length in bytes of every leaf but an object's last, which may be shorter (BEP 52's block size).
	LeafSize = 16384
	// MaxLeaves is the largest number of leaves in an object: 64 MiB / LeafSize.
	MaxLeaves = 4096
	// MaxPieces is the largest number of pieces in an object, see Pieces.
	MaxPieces = MaxLeaves / MaxPieceLeaves
	// MaxBatch is the largest number of pieces in one GAIN, REQUEST, CANCEL, REFUSE or COMING. Longer lists are split,
	// for instance with slices.Chunk.
	MaxBatch = 64
	// MaxMessage is the largest message and the largest bundle in bytes. It is a full leaf list that sets it; a LEAF is a
	// quarter of it.
	MaxMessage = 64<<10 + 16
	// MaxListLeaves is the longest leaf list that fits a message, that of an object of 32 MiB. The list of a larger
	// object is fetched over HTTP.
	MaxListLeaves = (MaxMessage - leavesHeader) / HashSize
	// MaxRecord is the longest signed record in bytes; the records of today need at most 249.
	MaxRecord = 1024
	// MaxReason is the longest reason in a BYE, in bytes of UTF-8.
	MaxReason = 200
	// HashSize is the length of one leaf hash (SHA-256) in bytes.
	HashSize = 32
)

// Limits of behaviour that the shell around the scheduler keeps, see "Rules" in PROTOCOL.md.
const (
	// HelloTimeoutMs is how long after the data channel opened a neighbour's HELLO may take.
	HelloTimeoutMs = 5000
	// MaxAnnounced is how many objects one neighbour's announcements are remembered for; the oldest are forgotten.
	MaxAnnounced = 256
	// ComingMs is how long a COMING counts.
	ComingMs = 2000
)

// Type is the first byte of a message.
type Type byte

// The message types.
const (
	TypeHello   Type = 0x01
	TypeHave    Type = 0x02
	TypeGain    Type = 0x03
	TypeLost    Type = 0x04
	TypeLeaves  Type = 0x05
	TypeRequest Type = 0x06
	TypeLeaf    Type = 0x07
	TypeCancel  Type = 0x08
	TypeRefuse  Type = 0x09
	TypeBye     Type = 0x0A
	TypeComing  Type = 0x0B
	TypeAsk     Type = 0x0C
	TypeRecord  Type = 0x0D
)

// Types is one more than the highest Type: the length of an array by type.
const Types = int(TypeRecord) + 1

var typeNames = [Types]string{
	TypeHello: "HELLO", TypeHave: "HAVE", TypeGain: "GAIN", TypeLost: "LOST", TypeLeaves: "LEAVES",
	TypeRequest: "REQUEST", TypeLeaf: "LEAF", TypeCancel: "CANCEL", TypeRefuse: "REFUSE", TypeBye: "BYE",
	TypeComing: "COMING", TypeAsk: "ASK", TypeRecord: "RECORD",
}

// String is the type's name in PROTOCOL.md.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("message type 0x%02x", byte(t))
}

// Key names an object between neighbours: the first 8 bytes of its root.
type Key [8]byte

// KeyOf returns the key of the object with this root, or the HELLO form of a channel id.
func KeyOf(root [32]byte) Key { return Key(root[:8]) }

// String is the key in hexadecimal, 16 digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Message is one of the thirteen message structs, by value: Hello, Have, Gain, Lost, Leaves, Request, Leaf, Cancel,
// Refuse, Bye, Coming, Ask, Record.
type Message interface {
	// Type is the message's first byte.
	Type() Type
	// Append appends the message's encoding to dst and keeps no reference to dst or to the message. The message must
	// be within the limits that Check names: beyond them the bytes are ones that the other side refuses.
	Append(dst []byte) []byte
	// Check returns nil for a message that Decode accepts once it is encoded, and otherwise an error that wraps
	// ErrMessage. A program that builds messages from its own bounded state does not need it.
	Check() error
}

// ErrMessage is wrapped by every error of Decode and Check. Whoever sends such a message is dropped.
var ErrMessage = errors.New("this is not a valid message")

// invalid makes an error that says what is wrong with a message of type t.
func invalid(t Type, format string, args ...any) error {
	return fmt.Errorf("%w: %v %s", ErrMessage, t, fmt.Sprintf(format, args...))
}
