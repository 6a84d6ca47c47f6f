package geo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxFile bounds a file, and what it is when it is not compressed any more.
const maxFile = 512 << 20

// ReadFile reads a database. Its error is a sentence.
func ReadFile(path string) (*Table, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the geo database cannot be read: %w", err)
	}
	defer file.Close()
	t, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("the geo database %s cannot be used: %w", path, err)
	}
	return t, nil
}

// Read reads a database of either format, compressed or not.
func Read(from io.Reader) (*Table, error) { return readBounded(from, maxFile) }

func readBounded(from io.Reader, most int64) (*Table, error) {
	in := bufio.NewReader(from)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("it is not what gzip made: %w", err)
		}
		in = bufio.NewReader(z)
	}
	all, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if int64(len(all)) > most {
		return nil, fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	if bytes.Contains(all[max(0, len(all)-128<<10):], []byte("\xab\xcd\xefMaxMind.com")) { // the metadata's mark, near the end
		return readMaxMind(all)
	}
	return readCSV(bytes.NewReader(all))
}

// readMaxMind walks through a database of the MaxMind DB format, version 2.
func readMaxMind(all []byte) (*Table, error) {
	db, err := maxminddb.OpenBytes(all)
	if err != nil {
		return nil, fmt.Errorf("it is no MaxMind database: %w", err)
	}
	defer db.Close()
	b := newBuilder()
	b.disjoint = true
	seen := map[uintptr]Place{} // most networks share what is known of them
	for network := range db.Networks() {
		if err := network.Err(); err != nil {
			return nil, fmt.Errorf("it is damaged: %w", err)
		}
		place, known := seen[network.Offset()]
		if !known {
			var record any
			if err := network.Decode(&record); err != nil {
				return nil, fmt.Errorf("it is damaged: %w", err)
			}
			place = placeOf(record)
			seen[network.Offset()] = place
		}
		if err := b.addPrefix(network.Prefix(), place); err != nil {
			return nil, err
		}
	}
	return b.table()
}

// placeOf finds out of a record what is of use. GeoLite2 and DB-IP say autonomous_system_number and country.iso_code,
// IPinfo asn ("AS64500") and country_code.
func placeOf(record any) (p Place) {
	fields, _ := record.(map[string]any)
	for _, name := range []string{"autonomous_system_number", "asn"} {
		if p.ASN = asNumber(fmt.Sprint(fields[name])); p.ASN != 0 {
			break
		}
	}
	inner, _ := fields["country"].(map[string]any)
	for _, v := range []any{inner["iso_code"], fields["country_code"], fields["country"]} {
		if text, ok := v.(string); ok && p.Country == [2]byte{} {
			p.Country = country(text)
		}
	}
	return p
}

// asNumber reads 64500 or AS64500; 0 is none.
func asNumber(s string) uint32 {
	if len(s) > 2 && strings.EqualFold(s[:2], "AS") {
		s = s[2:]
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func country(s string) (c [2]byte) {
	if len(s) == 2 && letter(s[0]) && letter(s[1]) && !strings.EqualFold(s, "ZZ") { // ZZ: nowhere
		copy(c[:], strings.ToUpper(s))
	}
	return c
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// readCSV reads lines as the package comment describes them.
func readCSV(from io.Reader) (*Table, error) {
	in := bufio.NewReader(from)
	lines := csv.NewReader(in)
	lines.FieldsPerRecord, lines.ReuseRecord, lines.LazyQuotes = -1, true, true
	if first, _ := in.Peek(512); bytes.ContainsRune(first, '\t') {
		lines.Comma = '\t'
	}
	b := newBuilder()
	named := 0 // lines with what may be a country
	for n := 1; ; n++ {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) {
			if 2*named < n-1 {
				b.forgetCountries()
			}
			return b.table()
		}
		if err == nil {
			var p Place
			if p, err = b.addLine(record); p.Country != [2]byte{} {
				named++
			}
		}
		if errors.Is(err, errTooLarge) {
			return nil, err
		}
		if err != nil && n > 1 {
			return nil, fmt.Errorf("line %d is not a range and what is there: %w", n, err)
		}
	}
}

func (b *builder) addLine(record []string) (p Place, err error) {
	if prefix, err := netip.ParsePrefix(record[0]); err == nil {
		p = describe(record[1:])
		return p, b.addPrefix(prefix, p)
	}
	from, err := netip.ParseAddr(record[0])
	if err != nil {
		return p, errors.New("it begins with no prefix and no address")
	}
	if len(record) < 2 {
		return p, errors.New("it has no last address")
	}
	to, err := netip.ParseAddr(record[1])
	from, to = from.Unmap(), to.Unmap()
	if err != nil || from.Is4() != to.Is4() || to.Less(from) {
		return p, errors.New("its last address is none, or before the first")
	}
	p = describe(record[2:])
	return p, b.add(from, to, p)
}

// describe reads an autonomous system's number, then a country; either may be missing.
func describe(fields []string) (p Place) {
	if len(fields) > 0 {
		if _, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(fields[0]), "AS"), 10, 32); err == nil {
			p.ASN = asNumber(fields[0])
			fields = fields[1:]
		}
	}
	if len(fields) > 0 {
		p.Country = country(fields[0])
	}
	return p
}
