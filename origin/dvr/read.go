package dvr

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

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
	p = hls.Plain{Skips: true, KeepsMs: a.cfg.WindowMs}
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
