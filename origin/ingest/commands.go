package ingest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/gortmplib/pkg/rawmessage"
)

const (
	// amfBytes bounds a message of values, because gortmplib decodes nested ones by
	// recursion.
	amfBytes = 64 << 10
	// streamID is the only message stream, as gortmplib writes it.
	streamID = 0x1000000
)

// A command is an RTMP command: a name, an id for the answer, and values.
type command struct {
	name   string
	id     int
	values amf0.Data
	chunk  byte
}

// readCommand decodes a command; ok is false for any other message.
func readCommand(m *rawmessage.Message) (cmd command, ok bool, err error) {
	body := m.Body
	switch message.Type(m.Type) {
	case message.TypeCommandAMF0:
	case message.TypeCommandAMF3: // in practice a zero byte and AMF0
		if len(body) == 0 || body[0] != 0 {
			return command{}, false, nil
		}
		body = body[1:]
	default:
		return command{}, false, nil
	}
	values, err := decodeValues(body)
	if err != nil {
		return command{}, false, err
	}
	if len(values) < 2 {
		return command{}, false, errors.New("an RTMP command has no name or no number")
	}
	name, isName := values[0].(string)
	id, isID := values[1].(float64)
	if !isName || !isID || math.IsNaN(id) || id < 0 || id > math.MaxInt32 {
		return command{}, false, errors.New("an RTMP command has no name or no number")
	}
	return command{name: name, id: int(id), values: values[2:], chunk: m.ChunkStreamID}, true, nil
}

func decodeValues(body []byte) (amf0.Data, error) {
	if len(body) > amfBytes {
		return nil, fmt.Errorf("an RTMP message has %d bytes of values: the most is %d", len(body), amfBytes)
	}
	values, err := amf0.Unmarshal(body)
	if err != nil {
		return nil, fmt.Errorf("the values of an RTMP message make no sense: %w", err)
	}
	return values, nil
}

// A request is a client's wish to publish.
type request struct {
	app, key string
	id       int
}

// negotiate answers commands up to publish (section 7.2).
func (c *rtmp) negotiate() (request, error) {
	app := ""
	for {
		m, err := c.next()
		if err != nil {
			return request{}, err
		}
		cmd, ok, err := readCommand(m)
		if err != nil {
			return request{}, err
		}
		if !ok {
			continue
		}
		switch cmd.name {
		case "connect":
			if app, err = c.connect(cmd); err != nil {
				return request{}, err
			}
		case "createStream":
			if err := c.answer(cmd, nil, float64(1)); err != nil {
				return request{}, err
			}
		case "play":
			return request{}, refuse("this address takes publishers only: watch over HTTP")
		case "publish":
			name := ""
			if len(cmd.values) > 1 {
				name, _ = cmd.values[1].(string)
			}
			r := request{id: cmd.id}
			r.app, r.key = splitPath(app, name)
			return r, nil
		}
		// releaseStream, FCPublish and whatever else want no answer.
	}
}

func (c *rtmp) connect(cmd command) (app string, err error) {
	if len(cmd.values) > 0 {
		switch o := cmd.values[0].(type) {
		case amf0.Object:
			app, _ = o.GetString("app")
		case amf0.ECMAArray:
			app, _ = amf0.Object(o).GetString("app")
		}
	}
	for _, m := range []message.Message{
		&message.SetWindowAckSize{Value: 2_500_000},
		&message.SetPeerBandwidth{Value: 2_500_000, Type: 2},
		&message.SetChunkSize{Value: 65_536},
	} {
		if err := c.writer.Write(m); err != nil {
			return "", err
		}
	}
	return app, c.answer(cmd,
		amf0.Object{{Key: "fmsVer", Value: "FMS/3,0,1,123"}, {Key: "capabilities", Value: float64(31)}},
		amf0.Object{
			{Key: "level", Value: "status"},
			{Key: "code", Value: "NetConnection.Connect.Success"},
			{Key: "description", Value: "Connection succeeded."},
			{Key: "objectEncoding", Value: float64(0)},
		})
}

func (c *rtmp) answer(cmd command, values ...any) error {
	return c.writer.Write(&message.CommandAMF0{ChunkStreamID: cmd.chunk, Name: "_result", CommandID: cmd.id, Arguments: values})
}

// status tells the client how its publication fares (section 7.2.2).
func (c *rtmp) status(level, code, description string) error {
	return c.writer.Write(&message.CommandAMF0{
		ChunkStreamID: 5, MessageStreamID: streamID, Name: "onStatus",
		Arguments: []any{nil, amf0.Object{
			{Key: "level", Value: level},
			{Key: "code", Value: code},
			{Key: "description", Value: description},
		}},
	})
}

// admit lets the client publish.
func (c *rtmp) admit() error {
	c.admitted, c.limit.left = true, math.MaxInt64
	if err := c.applyChunkSize(); err != nil {
		return err
	}
	return c.status("status", "NetStream.Publish.Start", "publishing")
}

// splitPath takes the stream key, the last element, off the path that application and
// stream name make up: encoders divide it in different ways, and some add a query.
func splitPath(app, name string) (string, string) {
	app, _, _ = strings.Cut(app, "?")
	name, _, _ = strings.Cut(name, "?")
	path := strings.Trim(app+"/"+name, "/")
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return strings.TrimRight(path[:i], "/"), path[i+1:]
	}
	return path, ""
}

// quoted is a client's word, fit for a log: short and printable.
func quoted(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strconv.QuoteToASCII(s)
}
