package dvr

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

// Open reads what an earlier run of the origin has left. What makes no sense is left out, deleted, and logged.
func Open(cfg Config) (*Archive, error) {
	a := &Archive{cfg: cfg, write: func(path string, data []byte) error { return os.WriteFile(path, data, 0o600) }}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the DVR window cannot be kept in %s: %w", cfg.Dir, err)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("the DVR window in %s cannot be read: %w", cfg.Dir, err)
	}
	for _, entry := range entries {
		first, err := strconv.ParseInt(entry.Name(), 10, 53)
		if err != nil || first < 0 || strconv.FormatInt(first, 10) != entry.Name() {
			cfg.Logger.Warn("something in the folder of the DVR window is none of ours", "path", filepath.Join(cfg.Dir, entry.Name()))
			continue
		}
		c, err := a.read(first)
		if err != nil {
			cfg.Logger.Warn("a chapter of the DVR window cannot be read, and is deleted", "segment", first, "error", err)
			a.remove([]*chapter{{first: first}})
			continue
		}
		a.chapters = append(a.chapters, c)
	}
	slices.SortFunc(a.chapters, func(x, y *chapter) int { return cmp.Compare(x.first, y.first) })
	if newest := a.newest(); newest != nil {
		a.remove(a.expire(newest.first + int64(len(newest.rows)) - 1)) // the window may be shorter now
	}
	return a, nil
}

// read reads the chapter that begins with a segment.
func (a *Archive) read(first int64) (*chapter, error) {
	folder := a.folder(&chapter{first: first})
	text, err := os.ReadFile(filepath.Join(folder, playlistName))
	if err != nil {
		return nil, err
	}
	c, err := parse(string(text), a.cfg.Rendition, first)
	if err != nil {
		return nil, err
	}
	for i, r := range c.rows {
		info, err := os.Stat(filepath.Join(folder, hls.SegmentURI(first+int64(i))))
		if err != nil || info.Size() != int64(r.size) {
			c.missing |= 1 << i
		}
		c.unread |= 1 << i
	}
	return c, nil
}

// parse reads a chapter's playlist, up to its last whole entry.
func parse(text, rendition string, first int64) (*chapter, error) {
	text = wholeEntries(text)
	pl, err := manifest.ReadPlaylist(text)
	if err != nil {
		return nil, err
	}
	if len(pl.Segments) == 0 || len(pl.Segments) > ChapterSegments || pl.MediaSequence != first {
		return nil, fmt.Errorf("it has %d segments from %d", len(pl.Segments), pl.MediaSequence)
	}
	c := &chapter{first: first, size: int64(len(text)), ended: true, rows: make([]row, 0, len(pl.Segments))}
	if c.discontinuities, err = discontinuities(text); err != nil {
		return nil, err
	}
	for i, s := range pl.Segments {
		rec := s.Record
		if rec == nil || s.InitRecord == nil || rec.Kind != manifest.KindSegment || rec.Sequence != s.Number || rec.Rendition != rendition || s.URI != hls.SegmentURI(s.Number) {
			return nil, fmt.Errorf("its segment %d is not described by a record", s.Number)
		}
		if i == 0 {
			c.init = rec.Init
		}
		if rec.Init != c.init || rec.Init != s.InitRecord.Root {
			return nil, fmt.Errorf("its segment %d has another init section", s.Number)
		}
		c.rows = append(c.rows, row{rec.Root, rec.StartMs, uint32(rec.DurationMs), uint32(rec.Size)})
	}
	return c, nil
}

// wholeEntries cuts off what follows the last line that is an address: the rest of an entry that was being written.
func wholeEntries(text string) string {
	end := 0
	for at := 0; ; {
		n := strings.IndexByte(text[at:], '\n')
		if n < 0 {
			return text[:end]
		}
		if line := text[at : at+n]; line != "" && line[0] != '#' {
			end = at + n + 1
		}
		at += n + 1
	}
}

func discontinuities(text string) (int64, error) {
	const tag = "#EXT-X-DISCONTINUITY-SEQUENCE:"
	_, after, found := strings.Cut(text, tag)
	value, _, _ := strings.Cut(after, "\n")
	n, err := strconv.ParseInt(value, 10, 53)
	if !found || err != nil || n < 0 {
		return 0, fmt.Errorf("its discontinuities are not counted (%s)", tag)
	}
	return n, nil
}
