package geo

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// Place is what a database says of an address.
type Place struct {
	ASN     uint32  // of the autonomous system; 0 = unknown
	Country [2]byte // ISO 3166-1; zero = unknown
}

// maxRanges bounds a table. The largest public databases have half a million of different places next to each other.
const maxRanges = 4_000_000

// span is a range of numbers of addresses, both ends included.
type span struct {
	from, to uint64
	place    uint32 // index into places
}

// family is the ranges of one family of addresses: from[i] is where the i-th begins, which ends where the next begins.
type family struct {
	from  []uint64
	place []uint32
}

func (f *family) at(address uint64) uint32 {
	i, found := slices.BinarySearch(f.from, address)
	if found {
		return f.place[i]
	}
	if i == 0 {
		return 0
	}
	return f.place[i-1]
}

// Table is a database in memory. It does not change.
type Table struct {
	v4, v6 family
	places []Place // the first is nowhere
}

// Lookup is where an address is, as far as the table knows.
func (t *Table) Lookup(a netip.Addr) Place {
	a = a.Unmap()
	if !a.IsValid() {
		return Place{}
	}
	if a.Is4() {
		return t.places[t.v4.at(number(a))]
	}
	return t.places[t.v6.at(number(a))]
}

// number is an address of IPv4, or the first half of one of IPv6.
func number(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	}
	n := uint64(0)
	for _, b := range a.AsSlice()[:8] {
		n = n<<8 | uint64(b)
	}
	return n
}

// builder collects the ranges of a table.
type builder struct {
	disjoint bool // no range lies in another, and they come in order
	v4, v6   []span
	places   []Place
	index    map[Place]uint32
}

func newBuilder() *builder {
	return &builder{places: []Place{{}}, index: map[Place]uint32{{}: 0}}
}

var errTooLarge = fmt.Errorf("it has more than %d ranges", maxRanges)

// add adds a range of addresses of one family.
func (b *builder) add(from, to netip.Addr, place Place) error {
	spans := &b.v6
	if from.Is4() {
		spans = &b.v4
	}
	i, known := b.index[place]
	if !known {
		i = uint32(len(b.places))
		b.index[place] = i
		b.places = append(b.places, place)
	}
	s := span{number(from), number(to), i}
	if n := len(*spans); n > 0 && b.disjoint {
		if last := &(*spans)[n-1]; last.place == i && last.to < s.from && last.to+1 == s.from {
			last.to = s.to
			return nil
		}
	}
	if len(b.v4)+len(b.v6) >= maxRanges {
		return errTooLarge
	}
	*spans = append(*spans, s)
	return nil
}

// addPrefix adds a prefix; one of IPv4 may be written as one of IPv6.
func (b *builder) addPrefix(p netip.Prefix, place Place) error {
	a, bits := p.Addr(), p.Bits()
	if a.Is4In6() && bits >= 96 {
		a, bits = a.Unmap(), bits-96
	}
	first, err := a.Prefix(bits)
	if err != nil {
		return err
	}
	last := first.Addr().AsSlice()
	for i := bits; i < 8*len(last); i++ {
		last[i/8] |= 0x80 >> (i % 8)
	}
	to, _ := netip.AddrFromSlice(last) // of a length that came from an address
	return b.add(first.Addr(), to, place)
}

// forgetCountries is for files whose operators have names, of which a few look like countries.
func (b *builder) forgetCountries() {
	for i := range b.places {
		b.places[i].Country = [2]byte{}
	}
}

var errNothing = errors.New("it tells no address's operator or country")

func (b *builder) table() (*Table, error) {
	if len(b.places) < 2 {
		return nil, errNothing
	}
	return &Table{v4: flatten(b.v4), v6: flatten(b.v6), places: b.places}, nil
}

// flatten makes ranges that follow each other out of such as may lie in each other: the innermost counts.
func flatten(spans []span) (f family) {
	slices.SortStableFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	begin := func(at uint64, place uint32) {
		n := len(f.from)
		if n > 0 && f.from[n-1] == at {
			n--
			f.from, f.place = f.from[:n], f.place[:n]
		}
		if n == 0 && place == 0 || n > 0 && f.place[n-1] == place {
			return
		}
		f.from, f.place = append(f.from, at), append(f.place, place)
	}
	var open []span // each within those before it
	closeBefore := func(at uint64) {
		for len(open) > 0 && open[len(open)-1].to < at {
			end := open[len(open)-1].to
			for len(open) > 0 && open[len(open)-1].to <= end {
				open = open[:len(open)-1]
			}
			around := uint32(0)
			if len(open) > 0 {
				around = open[len(open)-1].place
			}
			begin(end+1, around)
		}
	}
	for _, s := range spans {
		closeBefore(s.from)
		begin(s.from, s.place)
		open = append(open, s)
	}
	closeBefore(math.MaxUint64)
	f.from, f.place = slices.Clip(f.from), slices.Clip(f.place)
	return f
}
