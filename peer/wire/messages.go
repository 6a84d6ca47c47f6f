package wire

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// Instance tells clients apart, whatever the tracker calls them: two connections with one instance at the other end are
// one too many.
type Instance [8]byte

// Hello is the first message in each direction, and comes once.
type Hello struct {
	Version  uint8    // 2; Decode refuses others
	Channel  Key      // first 8 bytes of the channel id
	Flags    uint8    // none defined: sent as 0, ignored when received
	Instance Instance // drawn at random by each client when it starts
}

// Have says which pieces of an object the sender holds, and replaces what it said of this object before. One without
// any bit says that the sender knows the object's record.
type Have struct {
	Key      Key
	Leaves   uint16   // how many leaves the object has, 1 to MaxLeaves
	Bitfield Bitfield // a bit for each of Pieces(Leaves) pieces; after Decode a part of the message
}

// Gain adds pieces to an earlier Have.
type Gain struct {
	Key    Key
	Pieces []uint16 // 1 to MaxBatch indices below MaxPieces
}

// Lost says that the sender no longer holds anything of an object.
type Lost struct {
	Key Key
}

// Leaves carries an object's leaf list.
type Leaves struct {
	Key    Key
	Hashes []byte // 1 to MaxListLeaves hashes of 32 bytes, end to end; after Decode a part of the message
}

// Count is the number of hashes in the list.
func (m Leaves) Count() int { return len(m.Hashes) / HashSize }

// FlagTellMe in Hello.Flags says that records of new objects are welcome unasked.
const FlagTellMe uint8 = 1 << 0

// FlagNeedList in Request.Flags asks for the leaf list to be sent before the first leaf.
const FlagNeedList uint8 = 1 << 0

// Request asks for leaves, the most wanted pieces first.
type Request struct {
	Key    Key
	Flags  uint8    // FlagNeedList; other bits are sent as 0 and ignored when received
	Wanted []Wanted // 1 to MaxBatch
}

// Leaf carries one leaf. It answers a Request.
type Leaf struct {
	Key  Key
	Leaf uint16 // index, below MaxLeaves
	Data []byte // 1 to LeafSize bytes; after Decode a part of the message
}

// Cancel takes back requests for pieces that the sender gets elsewhere.
type Cancel struct {
	Key    Key
	Pieces []uint16 // 1 to MaxBatch indices below MaxPieces
}

// Reason says why pieces are refused.
type Reason uint8

// The reasons of Refuse.
const (
	Busy      Reason = 1 // too much is queued, or the uplink cannot deliver in time: ask somebody else
	NotHeld   Reason = 2 // the sender does not hold it (any more)
	Cancelled Reason = 3 // confirms a Cancel; optional
)

// Refuse says that of these pieces no further leaf will come. It answers a Request.
type Refuse struct {
	Key    Key
	Reason Reason
	Pieces []uint16 // 1 to MaxBatch indices below MaxPieces
}

// Bye is the last message before the sender closes the connection.
type Bye struct {
	Reason string // a sentence for people, up to MaxReason bytes of UTF-8; may be empty; Append cuts what is longer
}

// Coming says which pieces are on their way to the sender.
type Coming struct {
	Key    Key
	Pieces []uint16 // 1 to MaxBatch indices below MaxPieces
}

// Ask asks for the signed record of an object that the receiver has announced.
type Ask struct {
	Key Key
}

// Record carries a signed record, encoded as in a playlist's tag. It answers an Ask.
type Record struct {
	Key  Key
	Data []byte // 1 to MaxRecord bytes; after Decode a part of the message
}

// Header lengths: what precedes the variable part.
const (
	helloLength   = 1 + 1 + 8 + 1 + 8
	haveHeader    = 1 + 8 + 2
	gainHeader    = 1 + 8 + 1
	lostLength    = 1 + 8
	leavesHeader  = 1 + 8 + 2
	requestHeader = 1 + 8 + 1 + 1
	leafHeader    = 1 + 8 + 2
	cancelHeader  = 1 + 8 + 1
	refuseHeader  = 1 + 8 + 1 + 1
	byeHeader     = 1 + 1
	comingHeader  = 1 + 8 + 1
	askLength     = 1 + 8
	recordHeader  = 1 + 8 + 2
)

func (Hello) Type() Type   { return TypeHello }
func (Have) Type() Type    { return TypeHave }
func (Gain) Type() Type    { return TypeGain }
func (Lost) Type() Type    { return TypeLost }
func (Leaves) Type() Type  { return TypeLeaves }
func (Request) Type() Type { return TypeRequest }
func (Leaf) Type() Type    { return TypeLeaf }
func (Cancel) Type() Type  { return TypeCancel }
func (Refuse) Type() Type  { return TypeRefuse }
func (Bye) Type() Type     { return TypeBye }
func (Coming) Type() Type  { return TypeComing }
func (Ask) Type() Type     { return TypeAsk }
func (Record) Type() Type  { return TypeRecord }

// Append implements Message.
func (m Hello) Append(dst []byte) []byte {
	dst = append(dst, byte(TypeHello), m.Version)
	dst = append(dst, m.Channel[:]...)
	dst = append(dst, m.Flags)
	return append(dst, m.Instance[:]...)
}

// Append implements Message.
func (m Have) Append(dst []byte) []byte {
	dst = appendKey(dst, TypeHave, m.Key)
	dst = binary.BigEndian.AppendUint16(dst, m.Leaves)
	return append(dst, m.Bitfield...)
}

// Append implements Message.
func (m Gain) Append(dst []byte) []byte {
	return appendPieces(appendKey(dst, TypeGain, m.Key), m.Pieces)
}

// Append implements Message.
func (m Lost) Append(dst []byte) []byte { return appendKey(dst, TypeLost, m.Key) }

// Append implements Message.
func (m Leaves) Append(dst []byte) []byte {
	dst = appendKey(dst, TypeLeaves, m.Key)
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.Count()))
	return append(dst, m.Hashes...)
}

// Append implements Message.
func (m Request) Append(dst []byte) []byte {
	return appendPieces(append(appendKey(dst, TypeRequest, m.Key), m.Flags), m.Wanted)
}

// Append implements Message.
func (m Leaf) Append(dst []byte) []byte {
	dst = appendKey(dst, TypeLeaf, m.Key)
	dst = binary.BigEndian.AppendUint16(dst, m.Leaf)
	return append(dst, m.Data...)
}

// Append implements Message.
func (m Cancel) Append(dst []byte) []byte {
	return appendPieces(appendKey(dst, TypeCancel, m.Key), m.Pieces)
}

// Append implements Message.
func (m Refuse) Append(dst []byte) []byte {
	return appendPieces(append(appendKey(dst, TypeRefuse, m.Key), byte(m.Reason)), m.Pieces)
}

// Append implements Message. Since reasons are often somebody else's error messages, one that is too long is cut, and
// what is not UTF-8 is replaced.
func (m Bye) Append(dst []byte) []byte {
	reason := strings.ToValidUTF8(m.Reason, "\uFFFD")
	for len(reason) > MaxReason {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-size]
	}
	dst = append(dst, byte(TypeBye), byte(len(reason)))
	return append(dst, reason...)
}

// Append implements Message.
func (m Coming) Append(dst []byte) []byte {
	return appendPieces(appendKey(dst, TypeComing, m.Key), m.Pieces)
}

// Append implements Message.
func (m Ask) Append(dst []byte) []byte { return appendKey(dst, TypeAsk, m.Key) }

// Append implements Message.
func (m Record) Append(dst []byte) []byte {
	dst = appendKey(dst, TypeRecord, m.Key)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.Data)))
	return append(dst, m.Data...)
}

func appendKey(dst []byte, t Type, key Key) []byte {
	return append(append(dst, byte(t)), key[:]...)
}

func appendPieces[T ~uint16](dst []byte, entries []T) []byte {
	dst = append(dst, byte(len(entries)))
	for _, e := range entries {
		dst = binary.BigEndian.AppendUint16(dst, uint16(e))
	}
	return dst
}

// Check implements Message.
func (m Hello) Check() error {
	if m.Version != Version {
		return invalid(TypeHello, "is of version %d, this program speaks version %d", m.Version, Version)
	}
	return nil
}

// Check implements Message.
func (m Have) Check() error {
	if m.Leaves == 0 || m.Leaves > MaxLeaves {
		return invalid(TypeHave, "speaks of an object of %d leaves, allowed are 1 to %d", m.Leaves, MaxLeaves)
	}
	pieces := Pieces(int(m.Leaves))
	if want := BitfieldLength(pieces); len(m.Bitfield) != want {
		return invalid(TypeHave, "has a bitfield of %d bytes, %d pieces need %d", len(m.Bitfield), pieces, want)
	}
	if spare := len(m.Bitfield)*8 - pieces; m.Bitfield[len(m.Bitfield)-1]&(1<<spare-1) != 0 {
		return invalid(TypeHave, "sets a bit of its bitfield beyond piece %d, the last", pieces-1)
	}
	return nil
}

// Check implements Message.
func (m Gain) Check() error { return checkPieces(TypeGain, m.Pieces) }

// Check implements Message.
func (m Lost) Check() error { return nil }

// Check implements Message.
func (m Leaves) Check() error {
	if len(m.Hashes)%HashSize != 0 {
		return invalid(TypeLeaves, "has %d bytes of hashes, not a multiple of %d", len(m.Hashes), HashSize)
	}
	if n := m.Count(); n == 0 || n > MaxListLeaves {
		return invalid(TypeLeaves, "carries %d hashes, allowed are 1 to %d", n, MaxListLeaves)
	}
	return nil
}

// Check implements Message.
func (m Request) Check() error {
	if err := checkCount(TypeRequest, len(m.Wanted)); err != nil {
		return err
	}
	for _, w := range m.Wanted {
		if w.Piece() >= MaxPieces {
			return invalid(TypeRequest, "names piece %d, the highest allowed is %d", w.Piece(), MaxPieces-1)
		}
		if w.Mask() == 0 {
			return invalid(TypeRequest, "wants no leaf of piece %d", w.Piece())
		}
	}
	return nil
}

// Check implements Message.
func (m Leaf) Check() error {
	if m.Leaf >= MaxLeaves {
		return invalid(TypeLeaf, "has index %d, the highest allowed is %d", m.Leaf, MaxLeaves-1)
	}
	if len(m.Data) == 0 || len(m.Data) > LeafSize {
		return invalid(TypeLeaf, "carries %d bytes, allowed are 1 to %d", len(m.Data), LeafSize)
	}
	return nil
}

// Check implements Message.
func (m Cancel) Check() error { return checkPieces(TypeCancel, m.Pieces) }

// Check implements Message.
func (m Refuse) Check() error {
	if m.Reason < Busy || m.Reason > Cancelled {
		return invalid(TypeRefuse, "gives the unknown reason %d", m.Reason)
	}
	return checkPieces(TypeRefuse, m.Pieces)
}

// Check implements Message.
func (m Bye) Check() error {
	if len(m.Reason) > MaxReason {
		return invalid(TypeBye, "has a reason of %d bytes, allowed are %d", len(m.Reason), MaxReason)
	}
	if !utf8.ValidString(m.Reason) {
		return invalid(TypeBye, "has a reason that is not UTF-8")
	}
	return nil
}

// Check implements Message.
func (m Coming) Check() error { return checkPieces(TypeComing, m.Pieces) }

// Check implements Message.
func (m Ask) Check() error { return nil }

// Check implements Message.
func (m Record) Check() error {
	if len(m.Data) == 0 || len(m.Data) > MaxRecord {
		return invalid(TypeRecord, "carries %d bytes, allowed are 1 to %d", len(m.Data), MaxRecord)
	}
	return nil
}

func checkCount(t Type, count int) error {
	if count == 0 || count > MaxBatch {
		return invalid(t, "names %d pieces, allowed are 1 to %d", count, MaxBatch)
	}
	return nil
}

func checkPieces(t Type, pieces []uint16) error {
	if err := checkCount(t, len(pieces)); err != nil {
		return err
	}
	for _, piece := range pieces {
		if piece >= MaxPieces {
			return invalid(t, "names piece %d, the highest allowed is %d", piece, MaxPieces-1)
		}
	}
	return nil
}
