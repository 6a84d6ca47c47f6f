package dvr

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
	"slipstream/origin/timeline"
)

const (
	// ChapterSegments is the greatest length of a chapter: two minutes. What is deleted at once, and how much of the past a viewer has to read to
	// verify one segment of it, is the same.
	ChapterSegments = 60
	// graceSegments is how long a chapter outlives the window, because a viewer may act on a playlist that it fetched before
	// (RFC 8216bis, section 6.2.2).
	graceSegments = 30

	playlistName = "index.m3u8"
)

// Config describes an archive.
type Config struct {
	Dir       string // of the rendition; nothing else may be in it
	Rendition string
	WindowMs  int64
	Logger    *slog.Logger
}

// Archive is what is kept of one rendition. It is safe for concurrent use, but one segment is appended at a time.
type Archive struct {
	cfg     Config
	writing *chapter                   // the chapter that was added to last
	basis   basis                      // of that chapter
	tip     manifest.Hash              // hash of the newest record
	write   func(string, []byte) error // a whole file; tests have full disks

	mu       sync.RWMutex
	chapters []*chapter // oldest first
}

// basis is what all segments of a chapter share.
type basis struct {
	init        manifest.Record
	delegations [2]manifest.Delegation // of the keys that signed the segments and the init section
}

// chapter is guarded by Archive.mu.
type chapter struct {
	first           int64 // number of the first segment
	discontinuities int64 // up to this chapter
	init            manifest.Hash
	rows            []row
	unread          uint64 // bits of segments that were found on disk and not compared with their roots yet
	missing         uint64 // and of those that turned out not to be there
	size            int64  // of the playlist, in bytes
	ended           bool
}

// row is what is remembered of a segment.
type row struct {
	root             manifest.Hash
	startMs          int64
	durationMs, size uint32
}

// A Segment is what is to be kept.
type Segment struct {
	Record, Init               manifest.Record
	Delegation, InitDelegation manifest.Delegation
	Data, InitData             []byte
	Discontinuity              bool // against the segment before it
}

// Append keeps a published segment. When the disk is full the past makes room for it.
func (a *Archive) Append(s Segment) error {
	for {
		err := a.append(s)
		if err == nil || !Full(err) || !a.DropOldest() {
			return err
		}
	}
}

// Full reports whether an error says that a disk is full.
func Full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func (a *Archive) append(s Segment) error {
	c := a.writing
	text := ""
	if c == nil || c != a.newest() || !a.continues(c, s) {
		var err error
		if c, text, err = a.begin(s); err != nil {
			return fmt.Errorf("a chapter of %s cannot be begun: %w", a.cfg.Dir, err)
		}
	}
	text += hls.ChapterSegment(s.Record)
	err := a.write(a.path(c, s.Record.Sequence), s.Data)
	if err == nil {
		err = a.extend(c, text)
	}
	if err != nil {
		if len(c.rows) == 0 {
			_ = os.RemoveAll(a.folder(c)) // there is nothing of it yet
		}
		return fmt.Errorf("segment %d cannot be kept: %w", s.Record.Sequence, err)
	}
	a.writing, a.tip = c, s.Record.Hash()
	a.mu.Lock()
	if len(c.rows) == 0 {
		if n := len(a.chapters); n > 0 {
			a.chapters[n-1].ended = true
		}
		a.chapters = append(a.chapters, c)
	}
	c.size += int64(len(text))
	c.rows = append(c.rows, row{s.Record.Root, s.Record.StartMs, uint32(s.Record.DurationMs), uint32(s.Record.Size)})
	old := a.expire(s.Record.Sequence)
	a.mu.Unlock()
	a.remove(old)
	return nil
}

// continues reports whether a segment belongs to a chapter.
func (a *Archive) continues(c *chapter, s Segment) bool {
	return len(c.rows) > 0 && len(c.rows) < ChapterSegments && !s.Discontinuity && s.Record.Sequence == c.first+int64(len(c.rows)) &&
		s.Record.Previous == a.tip && a.basis == basisOf(s)
}

func basisOf(s Segment) basis {
	return basis{s.Init, [2]manifest.Delegation{s.Delegation, s.InitDelegation}}
}

// begin makes the folder of a new chapter and returns the beginning of its playlist.
func (a *Archive) begin(s Segment) (*chapter, string, error) {
	c := &chapter{first: s.Record.Sequence, init: s.Init.Root, rows: make([]row, 0, ChapterSegments)}
	if before := a.newest(); before != nil {
		if s.Record.Sequence < before.first+int64(len(before.rows)) {
			return nil, "", fmt.Errorf("segment %d comes after %d", s.Record.Sequence, before.first+int64(len(before.rows))-1)
		}
		c.discontinuities = before.discontinuities
		if before != a.writing || s.Discontinuity || s.Record.Sequence != before.first+int64(len(before.rows)) || s.Init.Root != before.init {
			c.discontinuities++
		}
	}
	if err := os.MkdirAll(a.folder(c), 0o700); err != nil {
		return nil, "", err
	}
	if err := a.write(filepath.Join(a.folder(c), hls.InitURI(c.init)), s.InitData); err != nil {
		_ = os.RemoveAll(a.folder(c))
		return nil, "", err
	}
	a.basis = basisOf(s)
	delegations := a.basis.delegations[:]
	if delegations[0] == delegations[1] {
		delegations = delegations[:1]
	}
	return c, hls.Chapter(c.first, c.discontinuities, delegations, s.Init), nil
}

// extend writes at the end of a chapter's playlist. What a failure leaves there is overwritten, or cut off when it is read.
func (a *Archive) extend(c *chapter, text string) error {
	f, err := os.OpenFile(filepath.Join(a.folder(c), playlistName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(text), c.size)
	if err != nil {
		_ = f.Truncate(c.size)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

func (a *Archive) folder(c *chapter) string {
	return filepath.Join(a.cfg.Dir, strconv.FormatInt(c.first, 10))
}

func (a *Archive) path(c *chapter, number int64) string {
	return filepath.Join(a.folder(c), hls.SegmentURI(number))
}

func (a *Archive) newest() *chapter {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.chapters) == 0 {
		return nil
	}
	return a.chapters[len(a.chapters)-1]
}

// expire takes the chapters away that have left the window, now that it ends with newest.
func (a *Archive) expire(newest int64) []*chapter {
	limit := newest - a.segments() - graceSegments
	n := 0
	for n < len(a.chapters)-1 && a.chapters[n].first+int64(len(a.chapters[n].rows)) <= limit {
		n++
	}
	if n == 0 {
		return nil
	}
	old := a.chapters[:n]
	a.chapters = slices.Clone(a.chapters[n:])
	return old
}

func (a *Archive) segments() int64 { return a.cfg.WindowMs / timeline.SegmentMs }

// DropOldest removes the oldest chapter, even the newest if it is the only one. It is false if there was none.
func (a *Archive) DropOldest() bool {
	a.mu.Lock()
	if len(a.chapters) == 0 {
		a.mu.Unlock()
		return false
	}
	c := a.chapters[0]
	count := len(c.rows)
	a.chapters = slices.Clone(a.chapters[1:])
	a.mu.Unlock()
	a.cfg.Logger.Warn("the disk is full: the oldest chapter of the DVR window goes", "rendition", a.cfg.Rendition, "segment", c.first, "segments", count)
	a.remove([]*chapter{c})
	return true
}

// remove deletes folders. For one that cannot be deleted now there is another attempt when the origin starts again.
func (a *Archive) remove(old []*chapter) {
	for _, c := range old {
		if err := os.RemoveAll(a.folder(c)); err != nil {
			a.cfg.Logger.Error("a chapter of the DVR window cannot be deleted", "error", err)
		}
	}
}
