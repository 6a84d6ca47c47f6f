package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bluenviron/gortmplib/pkg/bytecounter"
	"github.com/bluenviron/gortmplib/pkg/handshake"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

const (
	// greetingBytes is what a client may send before it is allowed to publish: 3 KiB of
	// handshake and a few commands.
	greetingBytes = 64 << 10
	// leastChunk is the size that RTMP starts with; less would only waste memory.
	leastChunk = 128
	// mostChunk is gortmplib's greatest message: larger chunks make no difference.
	mostChunk = 10 << 20
)

// A refusal is an error that the publisher is told, in the words of the error.
type refusal struct{ sentence string }

func (r *refusal) Error() string { return r.sentence }

func refuse(format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...)}
}

// errEnded is the orderly end of a publication.
var errEnded = errors.New("the publisher has ended the stream")

// An rtmp is the server's side of one connection (Adobe RTMP 1.0, section 5 to 7).
type rtmp struct {
	limit     *limit
	reader    *rawmessage.Reader
	writer    *message.Writer
	chunkSize uint32 // what the client has announced
	admitted  bool   // it may publish
}

// limit lets a number of bytes pass from the client.
type limit struct {
	io.ReadWriter
	left int64
}

func (l *limit) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the client sent more than %d bytes before it published", greetingBytes)
	}
	n, err := l.ReadWriter.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// greet does the handshake. The encrypted variant (RTMPE) is refused: it has costs but no
// security.
func greet(conn io.ReadWriter) (*rtmp, error) {
	c := &rtmp{limit: &limit{ReadWriter: conn, left: greetingBytes}}
	version := make([]byte, 1)
	if _, err := io.ReadFull(c.limit, version); err != nil {
		return nil, fmt.Errorf("the client said nothing: %w", err)
	}
	if version[0] != 3 {
		return nil, fmt.Errorf("the client does not speak RTMP: it begins with the byte 0x%02x", version[0])
	}
	again := struct {
		io.Reader
		io.Writer
	}{io.MultiReader(strings.NewReader("\x03"), c.limit), conn}
	if _, _, err := handshake.DoServer(again, false); err != nil {
		return nil, fmt.Errorf("the RTMP handshake failed: %w", err)
	}
	counter := bytecounter.NewReadWriter(c.limit)
	c.writer = message.NewWriter(counter, counter.Writer, false)
	c.reader = rawmessage.NewReader(counter, counter.Reader, func(count uint32) error {
		return c.writer.Write(&message.Acknowledge{Value: count})
	})
	return c, nil
}

// next is the next message that is not about the transport itself.
func (c *rtmp) next() (*rawmessage.Message, error) {
	for {
		m, err := c.reader.Read()
		if err != nil {
			return nil, err
		}
		switch message.Type(m.Type) {
		case message.TypeSetChunkSize, message.TypeAbortMessage, message.TypeSetWindowAckSize, message.TypeUserControl:
			if err := c.control(m); err != nil {
				return nil, err
			}
		default:
			return m, nil
		}
	}
}

// control obeys a protocol control message (sections 5.4 and 6.2).
func (c *rtmp) control(m *rawmessage.Message) error {
	if message.Type(m.Type) == message.TypeUserControl {
		if len(m.Body) == 6 && message.UserControlType(binary.BigEndian.Uint16(m.Body)) == message.UserControlTypePingRequest {
			return c.writer.Write(&message.UserControlPingResponse{ServerTime: binary.BigEndian.Uint32(m.Body[2:])})
		}
		return nil
	}
	if len(m.Body) != 4 {
		return fmt.Errorf("a control message of type %d has %d bytes instead of 4", m.Type, len(m.Body))
	}
	value := binary.BigEndian.Uint32(m.Body)
	switch message.Type(m.Type) {
	case message.TypeSetChunkSize:
		if value < leastChunk {
			return fmt.Errorf("the client wants chunks of %d bytes: the least is %d", value, leastChunk)
		}
		c.chunkSize = value
		return c.applyChunkSize()
	case message.TypeAbortMessage:
		c.reader.AbortChunkStream(value)
	case message.TypeSetWindowAckSize:
		c.reader.SetWindowAckSize(max(value, 64<<10)) // fewer, larger acknowledgements do no harm
	}
	return nil
}

// applyChunkSize caps the announced size at the greatest message that can arrive, which
// changes nothing for messages that do, because gortmplib reserves the memory for a chunk
// as soon as its header has come.
func (c *rtmp) applyChunkSize() error {
	if c.chunkSize == 0 {
		return nil
	}
	most := uint32(greetingBytes)
	if c.admitted {
		most = mostChunk
	}
	return c.reader.SetChunkSize(min(c.chunkSize, most))
}
