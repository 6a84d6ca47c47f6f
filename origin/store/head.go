package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"

	"slipstream/origin/durable"
	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

// maxAheadMs is how far in the future a head may lie at start. More means that the clock was wrong, then or now, and every
// segment until that time would be refused.
const maxAheadMs = 3_600_000

// head is what must survive a crash: the newest record that was signed for a rendition.
type head struct {
	record          manifest.Record
	discontinuities int64 // up to and including this segment
}

type headFile struct {
	Record          string `json:"record"` // base64url
	Discontinuities int64  `json:"discontinuities"`
}

func headPath(dir, rendition string) string { return filepath.Join(dir, "heads", rendition+".json") }

func (h head) write(dir string) error {
	file, err := json.Marshal(headFile{base64.RawURLEncoding.EncodeToString(h.record.Encode()), h.discontinuities})
	if err != nil {
		return err
	}
	return durable.Rewrite(headPath(dir, h.record.Rendition), append(file, '\n'))
}

func readHead(dir, rendition string, nowMs int64) (h head, found bool, err error) {
	path := headPath(dir, rendition)
	content, found, err := durable.Read(path)
	if err != nil || !found {
		return head{}, false, err
	}
	var file headFile
	var encoded []byte
	if err = json.Unmarshal(content, &file); err == nil {
		encoded, err = base64.RawURLEncoding.DecodeString(file.Record)
	}
	if err == nil {
		h.record, err = manifest.ParseRecord(encoded)
	}
	if err == nil && (h.record.Rendition != rendition || h.record.Kind != manifest.KindSegment || file.Discontinuities < 0) {
		err = fmt.Errorf("it is not about segments of %q", rendition)
	}
	if err != nil {
		return head{}, false, fmt.Errorf("the signed head %s is damaged (%w): restore it from a backup, or delete it once "+
			"all viewers are gone; without it the origin could sign a segment twice", path, err)
	}
	h.discontinuities = file.Discontinuities
	if ahead := h.record.Sequence*timeline.SegmentMs - nowMs; ahead > maxAheadMs {
		return head{}, false, fmt.Errorf("the signed head %s lies %d minutes in the future: correct this machine's clock, or, if the clock "+
			"was wrong when it was written, delete it once all viewers are gone", path, ahead/60_000)
	}
	return h, true, nil
}

// begun is the number of the newest segment of which parts were signed. It survives a crash too: what has parts cannot be
// completed by another run of the encoder, whose pictures are others.
type begunFile struct {
	Number int64 `json:"number"`
}

func begunPath(dir, rendition string) string {
	return filepath.Join(dir, "heads", rendition+".begun.json")
}

func writeBegun(dir, rendition string, number int64) error {
	file, err := json.Marshal(begunFile{number})
	if err != nil {
		return err
	}
	return durable.Rewrite(begunPath(dir, rendition), append(file, '\n'))
}

// readBegun returns -1 if no part was ever signed.
func readBegun(dir, rendition string) (int64, error) {
	path := begunPath(dir, rendition)
	content, found, err := durable.Read(path)
	if err != nil || !found {
		return -1, err
	}
	file := begunFile{-1}
	if err := json.Unmarshal(content, &file); err != nil || file.Number < 0 {
		return -1, fmt.Errorf("the file %s, which says what was signed last, is damaged: restore it from a backup, or delete it once all "+
			"viewers are gone; without it the origin could sign a part of a segment twice", path)
	}
	return file.Number, nil
}
