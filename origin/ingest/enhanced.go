package ingest

import "errors"

// Packet types of Enhanced RTMP.
const (
	exSequenceStart = 0
	exCodedFrames   = 1
	exFramesX       = 3 // a picture without an offset
	exMultitrack    = 6
	exMultitrackAAC = 5
)

// exPacket is what is behind the first byte of an enhanced message, of the first track.
type exPacket struct {
	kind  byte
	codec string // four letters
	data  []byte
}

// readEx finds the first track in the body of an enhanced message. It is false for one with further tracks alone: OBS sends its first as if it
// were the only one, and others by themselves.
func readEx(body []byte, multitrack byte) (p exPacket, first bool, err error) {
	if len(body) < 5 {
		return p, false, errCutOff
	}
	if kind := body[0] & 0x0f; kind != multitrack {
		return exPacket{kind, string(body[1:5]), body[5:]}, true, nil
	}
	const oneTrack, manyCodecs = 0, 2
	how, rest := body[1]>>4, body[2:]
	p.kind = body[1] & 0x0f
	take := func(n int) (taken []byte) {
		if len(rest) < n {
			err, n = errCutOff, len(rest)
		}
		taken, rest = rest[:n], rest[n:]
		return taken
	}
	if how != manyCodecs {
		p.codec = string(take(4))
	}
	for err == nil && len(rest) > 0 {
		if how == manyCodecs {
			p.codec = string(take(4))
		}
		id, size := take(1), []byte{0, 0, 0}
		if how != oneTrack {
			size = take(3)
		}
		if err != nil {
			break
		}
		p.data = rest
		if how != oneTrack {
			p.data = take(int(size[0])<<16 | int(size[1])<<8 | int(size[2]))
		}
		if id[0] == 0 || how == oneTrack {
			return p, id[0] == 0, err
		}
	}
	return exPacket{}, false, err
}

var errCutOff = errors.New("an enhanced message is cut off")

func readExVideo(body []byte) (tag, error) {
	p, first, err := readEx(body, exMultitrack)
	switch {
	case err != nil:
		return tag{}, err
	case !first:
		return tag{kind: tagFurther}, nil
	case p.codec != "avc1":
		return tag{}, refuse("the video codec %s is not supported: publish H.264", quoted(p.codec))
	case p.kind == exSequenceStart:
		return tag{kind: tagConfig, data: p.data}, nil
	case p.kind == exFramesX:
		return tag{kind: tagFrame, data: p.data}, nil
	case p.kind == exCodedFrames && len(p.data) < 3:
		return tag{}, errCutOff
	case p.kind == exCodedFrames:
		return tag{kind: tagFrame, offset: offsetOf(p.data), data: p.data[3:]}, nil
	}
	return tag{}, nil
}

func readExAudio(body []byte) (tag, error) {
	p, first, err := readEx(body, exMultitrackAAC)
	switch {
	case err != nil:
		return tag{}, err
	case !first:
		return tag{kind: tagFurther}, nil
	case p.codec != "mp4a":
		return tag{}, refuse("the audio codec %s is not supported: publish AAC", quoted(p.codec))
	case p.kind == exSequenceStart:
		return tag{kind: tagConfig, data: p.data}, nil
	case p.kind == exCodedFrames && len(p.data) > 0:
		return tag{kind: tagFrame, data: p.data}, nil
	}
	return tag{}, nil
}
