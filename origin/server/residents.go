package server

import (
	"container/list"
	"os"
	"sync"

	"slipstream/origin/manifest"
)

const (
	// minResident is the size from which it pays: below, to copy is as fast.
	minResident = 48 << 10
	// residentBytes and residentFiles bound what the kernel keeps, beside the store, of what is asked for most.
	residentBytes = 128 << 20
	residentFiles = 256
)

// residents are objects that were asked for more than once, as files in memory: the kernel sends those without a copy (sendfile), which
// costs a third of what it takes to send bytes of ours. Those asked for last stay.
type residents struct {
	mu     sync.Mutex
	byRoot map[manifest.Hash]*list.Element // of *copied
	recent *list.List                      // most recently used first
	bytes  int64
}

// copied is an object with its file, which is nil until it is asked for again. It is closed when it was dropped and the last reader is gone.
type copied struct {
	root    manifest.Hash
	file    *os.File
	size    int64
	readers int
	dropped bool
}

func newResidents() *residents {
	return &residents{byRoot: make(map[manifest.Hash]*list.Element), recent: list.New()}
}

// acquire returns an object with its file, or nil if there is none. Whoever gets one must release it.
func (r *residents) acquire(root manifest.Hash, data []byte) *copied {
	if len(data) < minResident {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	element, ok := r.byRoot[root]
	if !ok {
		r.byRoot[root] = r.recent.PushFront(&copied{root: root})
		r.shrink()
		return nil
	}
	r.recent.MoveToFront(element)
	object := element.Value.(*copied)
	if object.file == nil {
		file, err := fileInMemory(data)
		if err != nil {
			return nil // it is sent the other way
		}
		object.file, object.size = file, int64(len(data))
		r.bytes += object.size
	}
	object.readers++
	r.shrink() // even of this one, if it is larger than all may be: then it lasts as long as its reader
	return object
}

func (r *residents) release(object *copied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	object.readers--
	object.tidy()
}

// shrink drops what was not asked for the longest.
func (r *residents) shrink() {
	for r.recent.Len() > residentFiles || r.bytes > residentBytes {
		oldest := r.recent.Remove(r.recent.Back()).(*copied)
		delete(r.byRoot, oldest.root)
		r.bytes -= oldest.size
		oldest.dropped = true
		oldest.tidy()
	}
}

func (c *copied) tidy() {
	if c.dropped && c.readers == 0 && c.file != nil {
		c.file.Close()
	}
}
