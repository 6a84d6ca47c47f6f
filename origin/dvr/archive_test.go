package dvr

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

const (
	startMs = int64(1_767_225_600_000)
	first   = startMs / 2000
)

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)) // root and signing key in one

func channelID() manifest.Hash { return manifest.ChannelID(key.Public().(ed25519.PublicKey)) }

// recorder signs segments and has them kept, in a folder that outlives it.
type recorder struct {
	t        testing.TB
	cfg      Config
	archive  *Archive
	log      *bytes.Buffer
	previous manifest.Hash
	init     string
	keys     [2]manifest.Delegation
	size     int
}

func newRecorder(t testing.TB, windowMs int64) *recorder {
	r := &recorder{t: t, init: "init one", log: &bytes.Buffer{}, size: 400}
	r.cfg = Config{Dir: filepath.Join(t.TempDir(), "360p"), Rendition: "360p", WindowMs: windowMs, Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	r.appoint(startMs)
	r.restart()
	return r
}

// appoint makes the delegation that is valid from a time on.
func (r *recorder) appoint(fromMs int64) {
	d := manifest.Delegation{LastSequence: 1 << 40, NotBeforeMs: fromMs - 60_000, NotAfterMs: fromMs + 80_000_000}
	copy(d.SigningKey[:], key.Public().(ed25519.PublicKey))
	d, err := manifest.SignDelegation(d, key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.keys = [2]manifest.Delegation{d, d}
}

func (r *recorder) restart() {
	r.t.Helper()
	var err error
	if r.archive, err = Open(r.cfg); err != nil {
		r.t.Fatal(err)
	}
}

func (r *recorder) data(n int64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%019d;", n), r.size/20)
}

func (r *recorder) sign(rec manifest.Record) manifest.Record {
	r.t.Helper()
	signed, err := manifest.SignRecord(rec, channelID(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	return signed
}

func (r *recorder) append(n int64, discontinuity bool) error {
	data := r.data(n)
	init := r.sign(manifest.Record{Kind: manifest.KindInit, Rendition: "360p", Sequence: first, Size: int64(len(r.init)), Root: manifest.Root(manifest.LeafHashes([]byte(r.init))), CreatedMs: startMs})
	rec := r.sign(manifest.Record{
		Kind: manifest.KindSegment, Rendition: "360p", Sequence: n, StartMs: n * 2000, DurationMs: 2000, Size: int64(len(data)),
		Root: manifest.Root(manifest.LeafHashes(data)), Init: init.Root, Previous: r.previous, CreatedMs: n*2000 + 2100,
	})
	r.previous = rec.Hash()
	return r.archive.Append(Segment{Record: rec, Delegation: r.keys[0], Data: data, Init: init, InitDelegation: r.keys[1], InitData: []byte(r.init), Discontinuity: discontinuity})
}

func (r *recorder) record(from, count int64) {
	r.t.Helper()
	for n := from; n < from+count; n++ {
		if err := r.append(n, false); err != nil {
			r.t.Fatal(err)
		}
	}
}

// watch plays all that is listed as a viewer who verifies, and tells the story of the playlist: S for a segment, - for a gap, | for a
// discontinuity; runs are counted.
func (r *recorder) watch() string {
	r.t.Helper()
	window, ok := r.archive.Window()
	if !ok {
		return ""
	}
	pl, err := manifest.ReadPlaylist(window.Render(false))
	if err != nil {
		r.t.Fatal(err)
	}
	v := manifest.NewVerifier(channelID(), "360p")
	signed := make(map[int64]manifest.Verified)
	chapter := int64(-1)
	for _, s := range window.Segments {
		if s.Chapter == chapter {
			continue
		}
		chapter = s.Chapter
		text, _, ok := r.archive.Chapter(chapter)
		if !ok {
			r.t.Fatalf("chapter %d is listed, but cannot be had", chapter-first)
		}
		one, err := manifest.ReadPlaylist(string(text))
		if err != nil {
			r.t.Fatalf("%v\n%s", err, text)
		}
		list, err := v.Playlist(one, one.Segments[len(one.Segments)-1].PDTms+3000)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, entry := range list {
			signed[entry.Record.Sequence] = entry
		}
	}
	story, run := "", 0
	end := func(kind string) {
		if run > 0 {
			story += fmt.Sprint(run, kind)
		}
		run = 0
	}
	kind := ""
	for _, s := range pl.Segments {
		now := "S"
		if s.Gap {
			now = "-"
		}
		if now != kind || s.Discontinuity {
			end(kind)
			if s.Discontinuity {
				story += "|"
			}
		}
		kind = now
		run++
		if s.Gap {
			continue
		}
		found, ok := r.archive.Open(s.Number)
		if !ok {
			r.t.Fatalf("%d is listed, but cannot be had", s.Number-first)
		}
		data, err := io.ReadAll(found.File)
		found.File.Close()
		init, _, ok := r.archive.Init(s.MapURI)
		if err := errors.Join(err, manifest.Object(signed[s.Number].Record, data), manifest.Object(signed[s.Number].Init, init)); err != nil || !ok {
			r.t.Fatal(err)
		}
	}
	end(kind)
	return story
}

// folders are the chapters on disk.
func (r *recorder) folders() int {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(entries)
}

func TestTheWindowSlidesAndTheOldestGoesFirst(t *testing.T) {
	r := newRecorder(t, 240_000) // 120 segments
	if story := r.watch(); story != "" {
		t.Errorf("before anything was kept: %s", story)
	}
	r.record(first, 100)
	if story := r.watch(); story != "100S" {
		t.Errorf("the first 100: %s", story)
	}
	r.record(first+100, 300)
	if story := r.watch(); story != "120S" {
		t.Errorf("the window is %s", story)
	}
	// The window, the grace, and what a chapter is longer than it need be.
	if u := r.archive.Usage(); u.Segments < 150 || u.Segments > 150+ChapterSegments || u.Bytes != int64(u.Segments)*400 {
		t.Errorf("%+v are kept", u)
	}
	if n := r.folders(); n > 4 {
		t.Errorf("%d chapters are on disk", n)
	}
	for n, want := range map[int64]bool{first + 399: true, first + 280: true, first + 100: false, first + 400: false, first - 1: false, 0: false} {
		found, ok := r.archive.Open(n)
		if ok != want {
			t.Errorf("segment %d can be had: %v", n-first, ok)
		}
		if ok {
			found.File.Close()
		}
	}
}

func TestARestartKeepsTheWindow(t *testing.T) {
	r := newRecorder(t, 600_000)
	r.record(first, 70)
	before, _ := r.archive.Window()
	r.restart()
	if after, ok := r.archive.Window(); !ok || after.Render(false) != before.Render(false) {
		t.Errorf("another window was found:\n%s", after.Render(false))
	}
	if story := r.watch(); story != "70S" {
		t.Errorf("it reads %s", story)
	}
	if text, ended, ok := r.archive.Chapter(first + 60); !ok || !ended || !strings.HasSuffix(string(text), hls.EndOfChapter) {
		t.Error("what an earlier run wrote goes on")
	}
	r.record(first+75, 10)
	if story := r.watch(); story != "70S5-|10S" {
		t.Errorf("after the return: %s", story)
	}
	window, _ := r.archive.Window()
	if window.DiscontinuitySequence != 0 {
		t.Errorf("%d discontinuities", window.DiscontinuitySequence)
	}
	r.restart()
	r.record(first+85, 320)
	if window, _ := r.archive.Window(); window.DiscontinuitySequence != 2 || window.Segments[0].Discontinuity {
		t.Errorf("when the breaks have left the window %d are counted", window.DiscontinuitySequence)
	}
}

func TestWhatBeginsAChapter(t *testing.T) {
	r := newRecorder(t, 600_000)
	r.record(first, 3)
	if err := r.append(first+3, true); err != nil { // the encoder was started anew
		t.Fatal(err)
	}
	r.init = "init two"
	r.record(first+4, 2)
	r.appoint(startMs + 1000) // another delegation is no break
	r.record(first+6, 2)
	r.previous = manifest.Hash{9} // of a segment that was signed, but never kept
	r.record(first+9, 1)
	if story := r.watch(); story != "3S|1S|4S1-|1S" {
		t.Errorf("it reads %s", story)
	}
	if n := r.folders(); n != 5 {
		t.Errorf("%d chapters", n)
	}
}

// After a crash of the machine anything may be missing that was written lately.
func TestWhatIsDamagedIsLeftOut(t *testing.T) {
	r := newRecorder(t, 600_000)
	r.record(first, 130)
	chapter := func(n int64, name string) string {
		return filepath.Join(r.cfg.Dir, fmt.Sprint(first+n), name)
	}
	damage := func(path string, change func([]byte) []byte) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(chapter(0, hls.SegmentURI(first+10)), func(b []byte) []byte { return b[:100] })              // half-written
	damage(chapter(0, hls.SegmentURI(first+11)), func(b []byte) []byte { return make([]byte, len(b)) }) // never arrived
	damage(chapter(60, playlistName), func([]byte) []byte { return nil })                               // likewise
	damage(chapter(120, playlistName), func(b []byte) []byte { return b[:len(b)-5] })                   // the last entry is not whole
	if err := os.Remove(chapter(120, hls.SegmentURI(first+121))); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(r.cfg.Dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if _, ok := r.archive.Open(first + 11); ok {
		t.Error("zeros pass for a segment")
	}
	if story := r.watch(); story != "10S2-48S60-1S1-7S" {
		t.Errorf("it reads %s", story)
	}
	if _, err := os.Stat(chapter(60, "")); !errors.Is(err, os.ErrNotExist) {
		t.Error("an unreadable chapter stays on disk for ever")
	}
	if log := r.log.String(); strings.Count(log, "level=WARN") != 3 || !strings.Contains(log, "lost+found") {
		t.Errorf("logged:\n%s", log)
	}
	r.record(first+130, 5)
	if story := r.watch(); story != "10S2-48S60-1S1-7S1-|5S" {
		t.Errorf("it goes on as %s", story)
	}
}

// disk is a small one.
type disk struct {
	t        *testing.T
	dir      string
	capacity int64
}

func (d *disk) write(path string, data []byte) error {
	used := int64(0)
	err := filepath.WalkDir(d.dir, func(_ string, entry os.DirEntry, err error) error {
		if info, _ := entry.Info(); err == nil && info.Mode().IsRegular() && entry.Name() != playlistName {
			used += info.Size()
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	if free := d.capacity - used; free < int64(len(data)) {
		_ = os.WriteFile(path, data[:max(free, 0)], 0o600) // what a full disk leaves
		return fmt.Errorf("write %s: %w", path, syscall.ENOSPC)
	}
	return os.WriteFile(path, data, 0o600)
}

func TestAFullDiskLosesThePast(t *testing.T) {
	r := newRecorder(t, 6_000_000)
	d := &disk{t, r.cfg.Dir, 80 * 400}
	r.archive.write = d.write
	for n := range int64(300) {
		if err := r.append(first+n, false); err != nil {
			t.Fatalf("segment %d: %v", n, err)
		}
	}
	window, _ := r.archive.Window()
	kept := len(window.Segments)
	if newest := window.Segments[kept-1].Number; newest != first+299 || kept > 80 || kept < 20 {
		t.Errorf("%d segments are kept, the newest is %d", kept, newest-first)
	}
	r.watch()
	if !strings.Contains(r.log.String(), "the disk is full") {
		t.Error("nobody was told")
	}
	r.archive.write = func(path string, _ []byte) error { return fmt.Errorf("write %s: %w", path, syscall.ENOSPC) }
	if err := r.append(first+300, false); err == nil || !Full(err) {
		t.Errorf("nothing can be written at all: %v", err)
	}
	if _, ok := r.archive.Window(); ok {
		t.Error("the past was kept at the expense of the present")
	}
	r.archive.write = func(path string, data []byte) error { return os.WriteFile(path, data, 0o600) }
	r.record(first+301, 5)
	if story := r.watch(); story != "5S" {
		t.Errorf("when there is room again: %s", story)
	}
}

func TestAShorterWindowIsShortAtOnce(t *testing.T) {
	r := newRecorder(t, 6_000_000)
	r.record(first, 200)
	r.cfg.WindowMs = 60_000
	r.restart()
	if u := r.archive.Usage(); u.Segments > 30+graceSegments+ChapterSegments {
		t.Errorf("%d segments are kept", u.Segments)
	}
}

// The memory of a window is bounded by its rows. It is measured, because a struct is easily grown.
func TestMemoryOfAnHour(t *testing.T) {
	r := newRecorder(t, 24*3_600_000)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	chapters := make([]*chapter, 0, 24*30)
	for i := range int64(24 * 30) {
		rows := make([]row, 0, ChapterSegments)
		for n := range int64(ChapterSegments) {
			rows = append(rows, row{startMs: (first + i*60 + n) * 2000, durationMs: 2000, size: 1})
		}
		chapters = append(chapters, &chapter{first: first + i*60, rows: rows})
	}
	r.archive.chapters = chapters
	perHour := (heap() - before) / 24
	t.Logf("%d bytes for an hour of a rendition", perHour)
	if perHour > 110_000 {
		t.Errorf("an hour of a rendition takes %d bytes of memory", perHour)
	}
	runtime.KeepAlive(r)
}

func FuzzParse(f *testing.F) {
	r := newRecorder(f, 600_000)
	r.record(first, 3)
	text, _, _ := r.archive.Chapter(first)
	f.Add(string(text))
	f.Add(string(text[:len(text)-20]))
	f.Add("#EXTM3U\n\n\r\nx")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse(text, "360p", first)
		if err != nil {
			return
		}
		if len(c.rows) == 0 || len(c.rows) > ChapterSegments || c.size > int64(len(text)) {
			t.Fatalf("%d segments in %d bytes", len(c.rows), c.size)
		}
		again, err := parse(text[:c.size], "360p", first)
		if err != nil || len(again.rows) != len(c.rows) || again.size != c.size {
			t.Fatalf("what was read cannot be read: %v", err)
		}
	})
}
