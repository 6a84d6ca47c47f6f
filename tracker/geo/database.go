package geo

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// watchEvery is how often files are looked at.
const watchEvery = 10 * time.Second

// Database is one or several files. It is safe for concurrent use.
type Database struct {
	log    *slog.Logger
	tables atomic.Pointer[[]*Table]

	mu    sync.Mutex // of what follows
	files []watched
}

// watched is a file as it was when it was read last, well or not.
type watched struct {
	path    string
	size    int64
	changed time.Time
}

// Open reads databases. Of several the first that knows an address's operator, or its country, is believed.
func Open(paths []string, log *slog.Logger) (*Database, error) {
	d := &Database{log: log}
	var tables []*Table
	for _, path := range paths {
		w := watched{path: path}
		w.look()
		t, err := ReadFile(path)
		if err != nil {
			return nil, err
		}
		d.files = append(d.files, w)
		tables = append(tables, t)
	}
	d.tables.Store(&tables)
	return d, nil
}

// look tells whether the file is another one than before, and remembers it.
func (w *watched) look() (changed bool) {
	info, err := os.Stat(w.path)
	if err != nil {
		return false // it is being replaced, or gone: what was read stays
	}
	if info.Size() == w.size && info.ModTime().Equal(w.changed) {
		return false
	}
	w.size, w.changed = info.Size(), info.ModTime()
	return true
}

// Watch reads files again when they change, until ctx ends.
func (d *Database) Watch(ctx context.Context) {
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			d.Refresh()
		}
	}
}

// Refresh reads those files again that have changed. One that cannot be used leaves what was read before in force.
func (d *Database) Refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.files {
		w := &d.files[i]
		if !w.look() {
			continue
		}
		t, err := ReadFile(w.path)
		if err != nil {
			d.log.Error("a geo database has changed and the former one stays in use", "error", err)
			continue
		}
		tables := append([]*Table(nil), *d.tables.Load()...)
		tables[i] = t
		d.tables.Store(&tables)
		d.log.Info("a geo database was read again", "file", w.path)
	}
}

// Lookup is where an address is.
func (d *Database) Lookup(a netip.Addr) (p Place) {
	for _, t := range *d.tables.Load() {
		q := t.Lookup(a)
		if p.ASN == 0 {
			p.ASN = q.ASN
		}
		if p.Country == [2]byte{} {
			p.Country = q.Country
		}
	}
	return p
}

// Locate is Lookup in keys: the operator is one, the country another; 0 is unknown.
func (d *Database) Locate(a netip.Addr) (isp, region uint64) {
	p := d.Lookup(a)
	return uint64(p.ASN), uint64(p.Country[0])<<8 | uint64(p.Country[1])
}

// String is "AS64500 in FR".
func (p Place) String() string {
	operator, where := "an unknown operator", "an unknown country"
	if p.ASN != 0 {
		operator = fmt.Sprintf("AS%d", p.ASN)
	}
	if p.Country != [2]byte{} {
		where = string(p.Country[:])
	}
	return operator + " in " + where
}
