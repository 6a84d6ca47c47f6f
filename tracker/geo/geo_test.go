package geo

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, text string) *Table {
	t.Helper()
	table, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func at(t *Table, address string) string { return t.Lookup(netip.MustParseAddr(address)).String() }

func TestCSVOfEveryForm(t *testing.T) {
	for name, text := range map[string]string{
		"prefixes":           "prefix,asn,country\n192.0.2.0/24,64500,FR\n198.51.100.0/24,AS64501,de\n2001:db8::/32,64502,IT\n",
		"ranges and tabs":    "192.0.2.0\t192.0.2.255\t64500\tFR\tA NETWORK\n198.51.100.0\t198.51.100.255\t64501\tDE\tB\n2001:db8::\t2001:db8:ffff:ffff:ffff:ffff:ffff:ffff\t64502\tIT\tC\n",
		"quoted and crlf":    "192.0.2.0,192.0.2.255,64500,FR,\"One, two\"\r\n198.51.100.0,198.51.100.255,64501,DE\r\n2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,64502,IT\r\n",
		"mapped into IPv6":   "::ffff:192.0.2.0/120,64500,FR\n::ffff:198.51.100.0/120,64501,DE\n2001:db8::/32,64502,IT\n",
		"pieces that follow": "192.0.2.0/25,64500,FR\n192.0.2.128/25,64500,FR\n198.51.100.0/24,64501,DE\n2001:db8::/33,64502,IT\n2001:db8:8000::/33,64502,IT\n",
	} {
		t.Run(name, func(t *testing.T) {
			table := read(t, text)
			for address, want := range map[string]string{
				"192.0.2.0": "AS64500 in FR", "192.0.2.255": "AS64500 in FR", "::ffff:192.0.2.7": "AS64500 in FR",
				"198.51.100.9": "AS64501 in DE", "2001:db8:8000::1": "AS64502 in IT",
				"192.0.1.255": "an unknown operator in an unknown country", "192.0.3.0": "an unknown operator in an unknown country",
				"2001:db9::": "an unknown operator in an unknown country", "0.0.0.0": "an unknown operator in an unknown country",
			} {
				if got := at(table, address); got != want {
					t.Errorf("%s is %s, want %s", address, got, want)
				}
			}
			if name == "pieces that follow" && len(table.v4.from)+len(table.v6.from) != 6 {
				t.Errorf("%d and %d ranges: those that follow each other are one", len(table.v4.from), len(table.v6.from))
			}
		})
	}
}

func TestOneOfOperatorAndCountryMayBeMissing(t *testing.T) {
	table := read(t, "192.0.2.0,192.0.2.255,64500,A network\n198.51.100.0,198.51.100.255,FR\n203.0.113.0/24,0,DE\n")
	if named := read(t, "192.0.2.0/24,64500,One\n198.51.100.0/24,64501,HP\n203.0.113.0/24,64502,Two\n"); at(named, "198.51.100.1") != "AS64501 in an unknown country" {
		t.Errorf("the operator HP is %s", at(named, "198.51.100.1"))
	}
	for address, want := range map[string]string{
		"192.0.2.1": "AS64500 in an unknown country", "198.51.100.1": "an unknown operator in FR", "203.0.113.1": "an unknown operator in DE",
	} {
		if got := at(table, address); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func TestFilesOfNoUseAreRefusedWithASentence(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "tells no address's"},
		"names only":     {"prefix,asn\n", "tells no address's"},
		"no places":      {"192.0.2.0/24,0,ZZ\n", "tells no address's"},
		"prose":          {"hello\nworld\n", "line 2 is not a range"},
		"turned round":   {"x\n192.0.2.9,192.0.2.1,64500\n", "before the first"},
		"two families":   {"x\n192.0.2.9,2001:db8::,64500\n", "before the first"},
		"half a range":   {"x\n192.0.2.9\n", "no last address"},
		"half a gzip":    {"\x1f\x8b\x08", "gzip"},
		"half a maxmind": {"\xab\xcd\xefMaxMind.com", "MaxMind"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a sentence with %q", err, c.want)
			}
		})
	}
	if _, err := readBounded(strings.NewReader("192.0.2.0/24,64500,FR\n"), 10); err == nil {
		t.Error("a file above the bound was read")
	}
}

// Whatever ranges lie in each other, a look-up finds the innermost that was named last: what trying all would find.
func TestTheInnermostRangeCounts(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		type line struct {
			prefix netip.Prefix
			asn    uint32
		}
		var lines []line
		b := newBuilder()
		for n := range 1 + draw.IntN(12) {
			p, _ := netip.AddrFrom4([4]byte{10, 0, 0, byte(draw.IntN(256))}).Prefix(24 + draw.IntN(9))
			asn := uint32(1 + n%4)
			lines = append(lines, line{p, asn})
			if err := b.addPrefix(p, Place{ASN: asn}); err != nil {
				t.Fatal(err)
			}
		}
		table, err := b.table()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 256 {
			a, want, bits := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), uint32(0), -1
			for _, l := range lines {
				if l.prefix.Contains(a) && l.prefix.Bits() >= bits {
					want, bits = l.asn, l.prefix.Bits()
				}
			}
			if got := table.Lookup(a).ASN; got != want {
				t.Fatalf("%v: %s is AS%d, want AS%d", lines, a, got, want)
			}
		}
	}
}

func TestMaxMindDatabasesOfSeveralMakers(t *testing.T) {
	db := writeMaxMind(map[string]map[string]any{
		"192.0.2.0/24":    {"autonomous_system_number": uint32(64500), "autonomous_system_organization": "A"},
		"198.51.100.0/25": {"country": map[string]any{"iso_code": "FR"}},
		"203.0.113.0/24":  {"asn": "AS64502", "country_code": "IT"},
		"2001:db8::/32":   {"asn": "AS64503", "country": "DE"},
	})
	for name, bytes := range map[string][]byte{"plain": db, "gzip": compress(db)} {
		t.Run(name, func(t *testing.T) {
			table := read(t, string(bytes))
			for address, want := range map[string]string{
				"192.0.2.200": "AS64500 in an unknown country", "198.51.100.1": "an unknown operator in FR",
				"198.51.100.129": "an unknown operator in an unknown country", "203.0.113.1": "AS64502 in IT", "2001:db8:1::": "AS64503 in DE",
			} {
				if got := at(table, address); got != want {
					t.Errorf("%s is %s, want %s", address, got, want)
				}
			}
		})
	}
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func write(t *testing.T, path, text string, age time.Duration) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-age)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedFileIsReadAgainAndABadOneLeavesTheFormer(t *testing.T) {
	dir := t.TempDir()
	asn, countries := filepath.Join(dir, "asn.csv"), filepath.Join(dir, "country.csv")
	write(t, asn, "192.0.2.0/24,64500\n", time.Hour)
	write(t, countries, "192.0.2.0/24,FR\n", time.Hour)
	var log bytes.Buffer
	db, err := Open([]string{asn, countries}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddr("192.0.2.1")
	expect := func(when, want string) {
		t.Helper()
		if got := db.Lookup(a).String(); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	expect("at first", "AS64500 in FR")
	isp, region := db.Locate(a)
	if isp != 64500 || region != 'F'<<8|'R' {
		t.Errorf("the keys are %d and %d", isp, region)
	}
	db.Refresh()
	if log.Len() > 0 {
		t.Errorf("nothing changed, and it says %s", log.String())
	}
	write(t, asn, "192.0.2.0/24,64501\n", 50*time.Minute)
	db.Refresh()
	expect("changed", "AS64501 in FR")
	log.Reset()
	write(t, asn, "this is\nno database", 40*time.Minute)
	db.Refresh()
	db.Refresh()
	expect("damaged", "AS64501 in FR")
	if n := strings.Count(log.String(), "the former one stays in use"); n != 1 {
		t.Errorf("a damaged file was complained of %d times, want once:\n%s", n, log.String())
	}
	if err := os.Remove(countries); err != nil {
		t.Fatal(err)
	}
	db.Refresh()
	expect("one is gone", "AS64501 in FR")
	write(t, asn, "192.0.2.0/24,64502,\n", 30*time.Minute)
	db.Refresh()
	expect("mended", "AS64502 in FR")
	if _, err := Open([]string{asn, filepath.Join(dir, "none")}, slog.Default()); err == nil {
		t.Error("a file that does not exist was opened")
	}
}

func TestFetchKeepsOnlyWhatCanBeUsed(t *testing.T) {
	answers := map[string]string{"/good": "192.0.2.0/24,64500,FR\n", "/bad": "<html>\n<p>Log in</p>\n"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers[r.URL.Path] == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, answers[r.URL.Path])
	}))
	defer server.Close()
	to := filepath.Join(t.TempDir(), "geo.csv")
	fetch := func(path string) (string, error) {
		var out bytes.Buffer
		err := Fetch(t.Context(), FetchConfig{URL: server.URL + path, To: to, Out: &out})
		return out.String(), err
	}
	if out, err := fetch("/good"); err != nil || !strings.Contains(out, "ranges of IPv4") {
		t.Errorf("%s, %v", out, err)
	}
	for path, want := range map[string]string{"/bad": "nothing has changed", "/none": "404"} {
		if _, err := fetch(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a sentence with %q", path, err, want)
		}
	}
	if kept, err := ReadFile(to); err != nil || at(kept, "192.0.2.1") != "AS64500 in FR" {
		t.Errorf("what was kept: %v", err)
	}
	if files, _ := os.ReadDir(filepath.Dir(to)); len(files) != 1 {
		t.Errorf("there are %d files, want one", len(files))
	}
	var out bytes.Buffer
	if err := Fetch(t.Context(), FetchConfig{Out: &out}); err != nil || !strings.Contains(out.String(), "licence") {
		t.Errorf("without an address it says %q, %v", out.String(), err)
	}
}

func TestCheckMeasures(t *testing.T) {
	dir := t.TempDir()
	file, addresses := filepath.Join(dir, "geo.csv"), filepath.Join(dir, "addresses")
	write(t, file, "192.0.2.0/24,64500,FR\n198.51.100.0/24,64501,FR\n203.0.113.0/24,0,DE\n2001:db8::/32,64500,FR\n", 0)
	write(t, addresses, "# viewers\n192.0.2.1\n203.0.113.9\n2001:db8::1\n\n8.8.8.8\n", 0)
	var out bytes.Buffer
	if err := Check(CheckConfig{Files: []string{file}, Addresses: addresses, Out: &out}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"6 ranges of IPv4, 2 of IPv6; 2 operators, 2 countries", "of 4 addresses the operator of 50.0 % is known and the country of 75.0 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it says\n%s\nwithout %q", out.String(), want)
		}
	}
	write(t, addresses, "192.0.2.1\nhome\n", 0)
	if err := Check(CheckConfig{Files: []string{file}, Addresses: addresses, Out: &out}); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a list with a name in it: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("192.0.2.0/24,64500,FR\n"))
	f.Add([]byte("192.0.2.0\t192.0.2.255\t64500\tFR\tx\n2001:db8::\t2001:db8::5\t1\tDE\n"))
	f.Add(writeMaxMind(map[string]map[string]any{"192.0.2.0/24": {"asn": "AS64500"}}))
	f.Add(compress([]byte("192.0.2.0/24,64500,FR\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := readBounded(bytes.NewReader(b), 1<<20)
		if err != nil {
			return
		}
		for _, family := range []family{table.v4, table.v6} {
			for i, from := range family.from {
				if i > 0 && (from <= family.from[i-1] || family.place[i] == family.place[i-1]) {
					t.Fatalf("range %d of %v", i, family)
				}
			}
		}
		table.Lookup(netip.MustParseAddr("192.0.2.1"))
		table.Lookup(netip.MustParseAddr("2001:db8::1"))
	})
}

func BenchmarkLookup(b *testing.B) {
	builder := newBuilder()
	for i := range uint32(500_000) {
		a := netip.AddrFrom4([4]byte{byte(i >> 11), byte(i >> 3), byte(i << 5), 0})
		p, _ := a.Prefix(19)
		if err := builder.addPrefix(p, Place{ASN: 1 + i%80_000}); err != nil {
			b.Fatal(err)
		}
	}
	table, err := builder.table()
	if err != nil {
		b.Fatal(err)
	}
	a := uint32(0)
	for b.Loop() {
		a += 0x9e3779b9
		table.Lookup(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}))
	}
}
