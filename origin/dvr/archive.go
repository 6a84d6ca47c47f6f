package dvr

import (
	"cmp"
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

// OldestMs is the start of the oldest segment, and whether there is one.
func (a *Archive) OldestMs() (int64, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.chapters) == 0 {
		return 0, false
	}
	return a.chapters[0].rows[0].startMs, true
}

// Usage is what an archive takes.
type Usage struct {
	Segments int   `json:"segments"`
	Bytes    int64 `json:"bytes"`
}

// Usage sums up what is kept.
func (a *Archive) Usage() (u Usage) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, c := range a.chapters {
		u.Segments += len(c.rows)
		for _, r := range c.rows {
			u.Bytes += int64(r.size)
		}
	}
	return u
}

// Window is the playlist of all that is kept and in the window; ok is false if that is nothing.
func (a *Archive) Window() (p hls.Plain, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.chapters) == 0 {
		return p, false
	}
	last := a.chapters[len(a.chapters)-1]
	limit := last.first + int64(len(last.rows)) - 1 - a.segments()
	p = hls.Plain{Skips: true}
	before := int64(-1)
	for _, c := range a.chapters {
		for i, r := range c.rows {
			number := c.first + int64(i)
			if number <= limit || c.missing>>i&1 != 0 {
				continue
			}
			if before < 0 {
				p.DiscontinuitySequence, before = c.discontinuities, c.discontinuities
			}
			p.Segments = append(p.Segments, hls.Listed{
				Number: number, StartMs: r.startMs, DurationMs: int64(r.durationMs), Discontinuity: c.discontinuities != before, Init: c.init, Chapter: c.first,
			})
			before = c.discontinuities
		}
	}
	return p, len(p.Segments) > 0
}

// find returns the chapter of a segment and its place there, nil if it was never kept or was deleted.
func (a *Archive) find(number int64) (*chapter, int) {
	i, exact := slices.BinarySearchFunc(a.chapters, number, func(c *chapter, n int64) int { return cmp.Compare(c.first, n) })
	if !exact {
		i--
	}
	if i < 0 || number-a.chapters[i].first >= int64(len(a.chapters[i].rows)) {
		return nil, 0
	}
	return a.chapters[i], int(number - a.chapters[i].first)
}

// Found is a segment that is kept.
type Found struct {
	File       *os.File      // of Open; the caller closes it
	Root, Init manifest.Hash // tree roots of the segment and its init section
	StartMs    int64
	DurationMs int64
	Size       int64
}

// Find says what is known of a segment, and whether it is kept.
func (a *Archive) Find(number int64) (Found, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	c, at := a.find(number)
	if c == nil || c.missing>>at&1 != 0 {
		return Found{}, false
	}
	r := c.rows[at]
	return Found{Root: r.root, Init: c.init, StartMs: r.startMs, DurationMs: int64(r.durationMs), Size: int64(r.size)}, true
}

// Open opens a segment, and says whether it is kept.
func (a *Archive) Open(number int64) (Found, bool) {
	a.mu.RLock()
	c, at := a.find(number)
	unread := c != nil && c.unread>>at&1 != 0
	a.mu.RUnlock()
	if c == nil || unread && !a.genuine(c, at) {
		return Found{}, false
	}
	found, ok := a.Find(number)
	if !ok {
		return Found{}, false
	}
	var err error
	if found.File, err = os.Open(a.path(c, number)); err != nil {
		return Found{}, false // its chapter was dropped a moment ago
	}
	return found, true
}

// genuine compares a segment that an earlier run of the origin wrote with its signed root.
func (a *Archive) genuine(c *chapter, at int) bool {
	data, err := os.ReadFile(a.path(c, c.first+int64(at)))
	a.mu.Lock()
	defer a.mu.Unlock()
	c.unread &^= 1 << at
	if err == nil && len(data) > 0 && manifest.Root(manifest.LeafHashes(data)) == c.rows[at].root {
		return true
	}
	c.missing |= 1 << at
	a.cfg.Logger.Warn("a segment of the DVR window is damaged, and is left out", "rendition", a.cfg.Rendition, "number", c.first+int64(at))
	return false
}

// Init returns the init section with an hls.InitURI.
func (a *Archive) Init(uri string) ([]byte, manifest.Hash, bool) {
	a.mu.RLock()
	i := slices.IndexFunc(a.chapters, func(c *chapter) bool { return hls.InitURI(c.init) == uri })
	if i < 0 {
		a.mu.RUnlock()
		return nil, manifest.Hash{}, false
	}
	c := a.chapters[i]
	path := filepath.Join(a.folder(c), uri)
	a.mu.RUnlock()
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 || manifest.Root(manifest.LeafHashes(data)) != c.init {
		return nil, manifest.Hash{}, false
	}
	return data, c.init, true
}

// Chapter returns the playlist of the chapter that begins with a segment, and whether it has ended.
func (a *Archive) Chapter(first int64) (text []byte, ended, ok bool) {
	a.mu.RLock()
	c, at := a.find(first)
	if c == nil || at != 0 {
		a.mu.RUnlock()
		return nil, false, false
	}
	size := c.size
	ended = c.ended
	path := filepath.Join(a.folder(c), playlistName)
	a.mu.RUnlock()
	text, err := os.ReadFile(path)
	if err != nil || int64(len(text)) < size {
		return nil, false, false
	}
	text = text[:size:size]
	if ended {
		text = append(text, hls.EndOfChapter...)
	}
	return text, ended, true
}
