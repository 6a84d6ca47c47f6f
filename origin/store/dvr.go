package store

import (
	"fmt"
	"io"
	"path/filepath"

	"slipstream/origin/dvr"
	"slipstream/origin/hls"
	"slipstream/origin/manifest"
)

// MaxDVRMs is the longest window on disk. A day is 43,200 segments, 2 MB of memory for a rendition, and a playlist of 1.3 MB.
const MaxDVRMs = 24 * 3_600_000

// CheckDVR says in a sentence what is wrong with the length of a DVR window, next to that of the live window.
func CheckDVR(dvrMs, windowMs int64) error {
	if windowMs == 0 {
		windowMs = DefaultWindowMs
	}
	if dvrMs != 0 && (dvrMs < windowMs || dvrMs > MaxDVRMs) {
		return fmt.Errorf("a DVR window of %d s is not possible: choose at least the live window's %d s and at most %d hours", dvrMs/1000, windowMs/1000, MaxDVRMs/3_600_000)
	}
	return nil
}

// openArchive opens what is kept of a rendition on disk; nil if nothing is to be.
func (cfg Config) openArchive(rendition string) (*dvr.Archive, error) {
	if cfg.DVRMs == 0 {
		return nil, nil
	}
	return dvr.Open(dvr.Config{
		Dir: filepath.Join(cfg.Dir, "dvr", rendition), Rendition: rendition, WindowMs: cfg.DVRMs, Logger: cfg.Logger,
	})
}

// keep writes a segment to disk, before it is seen, so that playlists of both windows end with the same one. That it could not be kept
// does not concern those who watch live.
func (s *Store) keep(r *ring, item *segment, init *initSection) {
	if r.archive == nil {
		return
	}
	err := r.archive.Append(dvr.Segment{
		Record: item.record, Delegation: item.delegation, Data: item.data, Init: init.record, InitDelegation: init.delegation, InitData: init.data,
		Discontinuity: item.discontinuity || r.returns(),
	})
	if err != nil {
		s.cfg.Logger.Error("the DVR window lacks a segment", "rendition", r.name, "error", err)
	}
}

// durably has something written that must not be lost. If the disk is full, the past makes room.
func (s *Store) durably(write func() error) error {
	for {
		err := write()
		if err == nil || !dvr.Full(err) || !s.dropOldest() {
			return err
		}
	}
}

// dropOldest drops the oldest chapter of all renditions' DVR windows. It is false if there is none.
func (s *Store) dropOldest() bool {
	var oldest *dvr.Archive
	var oldestMs int64
	for _, name := range s.cfg.Renditions {
		archive := s.rings[name].archive
		if archive == nil {
			continue
		}
		if startMs, ok := archive.OldestMs(); ok && (oldest == nil || startMs < oldestMs) {
			oldest, oldestMs = archive, startMs
		}
	}
	return oldest != nil && oldest.DropOldest()
}

// HasDVR reports whether there is a window on disk.
func (s *Store) HasDVR() bool { return s.cfg.DVRMs > 0 }

// DVRUsage is what a rendition's window takes on disk.
func (s *Store) DVRUsage(rendition string) dvr.Usage {
	if a := s.archive(rendition); a != nil {
		return a.Usage()
	}
	return dvr.Usage{}
}

// archive returns that of a rendition, nil if there is none.
func (s *Store) archive(rendition string) *dvr.Archive {
	if r, ok := s.rings[rendition]; ok {
		return r.archive
	}
	return nil
}

// DVR is the playlist of a rendition's window on disk; ok is false if there is nothing.
func (s *Store) DVR(rendition string) (p hls.Plain, ok bool) {
	if a := s.archive(rendition); a != nil {
		return a.Window()
	}
	return p, false
}

// Chapter is the signed playlist of a chapter of a rendition's window on disk, by the number of its first segment, and whether it has ended.
func (s *Store) Chapter(rendition string, first int64) (text []byte, ended, ok bool) {
	if a := s.archive(rendition); a != nil {
		return a.Chapter(first)
	}
	return nil, false, false
}

// Kept opens a segment in a rendition's window on disk.
func (s *Store) Kept(rendition string, number int64) (dvr.Found, bool) {
	if a := s.archive(rendition); a != nil {
		return a.Open(number)
	}
	return dvr.Found{}, false
}

// kept reads a segment in the window on disk.
func (s *Store) kept(rendition string, number int64) (Muxed, bool) {
	found, ok := s.Kept(rendition, number)
	if !ok {
		return Muxed{}, false
	}
	defer found.File.Close()
	data, err := io.ReadAll(io.LimitReader(found.File, found.Size))
	if err != nil || int64(len(data)) != found.Size {
		return Muxed{}, false
	}
	init, _, ok := s.archive(rendition).Init(hls.InitURI(found.Init))
	return Muxed{StartMs: found.StartMs, DurationMs: found.DurationMs, Root: found.Root, Init: init, Data: data}, ok
}

// keptLeaves computes the leaf list of a segment in the window on disk: viewers rarely go back, and the lists would take 0.2 % more.
func (s *Store) keptLeaves(rendition string, number int64) (Object, bool) {
	segment, ok := s.kept(rendition, number)
	if !ok {
		return Object{}, false
	}
	return Object{manifest.EncodeLeaves(manifest.LeafHashes(segment.Data)), segment.Root}, true
}
