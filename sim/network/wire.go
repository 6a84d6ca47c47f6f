package network

// packetPayload is what one packet of a data channel carries: usrsctp and pion
// start with an MTU of 1200 bytes.
const packetPayload = 1200 - 28

// DefaultPacketOverhead is what surrounds it: IPv4 20, UDP 8, DTLS 1.2 record
// with AES-GCM 13 + 8 + 16, SCTP common header 12 and DATA chunk header 16.
// Acknowledgements are not counted.
const DefaultPacketOverhead = 93

// WireBytes is what a data-channel message costs on the line, each packet having
// overhead bytes around it.
func WireBytes(message, overhead int64) int64 {
	return message + (message+packetPayload-1)/packetPayload*overhead
}

// Sizes of the messages of package wire, each held to the encoder by a test.
// The simulator moves no bytes, so it need not encode them.

// HaveBytes is the size of a HAVE for an object of that many pieces.
func HaveBytes(pieces int64) int64 { return 11 + (pieces+7)/8 }

// IndicesBytes is the size of a GAIN or CANCEL that names that many leaves; a
// REQUEST or REFUSE has one byte more.
func IndicesBytes(count int64) int64 { return 10 + 2*count }

// LeafListBytes is the size of a LEAVES for an object of that many leaves.
func LeafListBytes(leaves int64) int64 { return 11 + 32*leaves }

// LeafBytes is the size of a LEAF with that much data.
func LeafBytes(data int64) int64 { return 11 + data }

// RecordBytes is the size of a RECORD that carries so many.
func RecordBytes(record int64) int64 { return 11 + record }

const (
	// AskBytes is the size of an ASK.
	AskBytes = 9
	// HelloBytes is the size of a HELLO.
	HelloBytes = 19
	// LostBytes is the size of a LOST.
	LostBytes = 9
	// MaxBatch is how many leaves one GAIN, REQUEST, CANCEL or REFUSE may name.
	MaxBatch = 64
)
