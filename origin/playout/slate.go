package playout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"slipstream/origin/child"
)

const (
	// slateRate is how many pictures of slate a second the encoder is given. It repeats them as its frame rate needs it, and that
	// is cheaper; but it can repeat one only when the next is there, so this is also how long slate is late.
	slateRate     = 10
	slateInterval = time.Second / slateRate
	// slateBytes bounds a second of it.
	slateBytes = 16 << 20
	// slateTimeout bounds its making.
	slateTimeout = 20 * time.Second
)

// A Slate is what is shown when there is no input: a second of H.264, over and over.
type Slate struct {
	units [][][]byte // access units; the first is a key frame with its parameter sets
}

// Black is the name of a slate without a picture.
const Black = "black"

// NewSlate encodes a picture (PNG, JPEG, whatever ffmpeg reads), or Black, in a size that it is fitted into.
func NewSlate(ctx context.Context, picture string, width, height int) (*Slate, error) {
	size := fmt.Sprintf("%d:%d", width, height)
	source := []string{"-f", "lavfi", "-i", fmt.Sprintf("color=black:size=%dx%d:rate=%d", width, height, slateRate)}
	if picture != Black {
		if _, err := os.Stat(picture); err != nil {
			return nil, fmt.Errorf("the slate %s cannot be read: %w", picture, cause(err))
		}
		source = []string{"-i", "file:" + picture}
	}
	args := append([]string{"-nostdin", "-loglevel", "error"}, source...)
	args = append(args,
		"-vf", "scale="+size+":force_original_aspect_ratio=decrease,pad="+size+":(ow-iw)/2:(oh-ih)/2,setsar=1,format=yuv420p,"+
			fmt.Sprintf("loop=loop=%d:size=1,settb=1/%d,setpts=N", slateRate-1, slateRate),
		"-r", fmt.Sprint(slateRate), "-frames:v", fmt.Sprint(slateRate), "-an", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", fmt.Sprint(slateRate), "-threads", "1",
		"-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "pipe:1",
	)
	ctx, cancel := context.WithTimeout(ctx, slateTimeout)
	defer cancel()
	stream, err := child.Output(ctx, slateBytes, "ffmpeg", args...)
	if exit := (*child.ExitError)(nil); errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the slate %s was not read within %v", picture, slateTimeout)
	} else if errors.As(err, &exit) {
		return nil, fmt.Errorf("the slate %s is no picture that can be shown: %s", picture, exit.Tail)
	} else if err != nil {
		return nil, err
	}
	slate := &Slate{units: accessUnits(stream)}
	if len(slate.units) != slateRate || !startsDecoding(slate.units[0]) {
		return nil, fmt.Errorf("the slate %s cannot be shown: ffmpeg made %d pictures of it, not %d", picture, len(slate.units), slateRate)
	}
	return slate, nil
}

// picture is the nth since slate began.
func (s *Slate) picture(n int) [][]byte { return s.units[n%len(s.units)] }

// accessUnits takes a byte stream apart (ISO/IEC 14496-10, annex B) that has a delimiter before each access unit. Those are left out.
func accessUnits(stream []byte) (units [][][]byte) {
	for nal := range bytes.SplitSeq(stream, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		switch {
		case len(nal) == 0:
		case h264.NALUType(nal[0]&0x1f) == h264.NALUTypeAccessUnitDelimiter:
			units = append(units, nil)
		case len(units) > 0:
			units[len(units)-1] = append(units[len(units)-1], nal)
		}
	}
	return units
}

// cause drops what the sentence around it says already.
func cause(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return errors.New(strings.TrimSpace(path.Err.Error()))
	}
	return err
}
