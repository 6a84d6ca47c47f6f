package geo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"
)

// CheckConfig is what `slipstream tracker geo check` was asked for.
type CheckConfig struct {
	Files     []string
	Addresses string // file with addresses, one a line; empty: none
	JSON      bool   // one JSON object instead of text
	Out       io.Writer
}

// Measured is what a database is worth.
type Measured struct {
	File      string    `json:"file"`
	RangesV4  int       `json:"rangesV4"`
	RangesV6  int       `json:"rangesV6"`
	Operators int       `json:"operators"`
	Countries int       `json:"countries"`
	Bytes     int       `json:"bytes"`     // of memory
	ReadMs    int64     `json:"readMs"`    // to read the file
	LookupNs  int64     `json:"lookupNs"`  // mean, addresses of IPv4 in no order
	Addresses *Coverage `json:"addresses"` // null: none were given
}

// Coverage is how many addresses of a list the database knows.
type Coverage struct {
	All      int     `json:"all"`
	Operator float64 `json:"operator"` // share of which the operator is known
	Country  float64 `json:"country"`
}

// Check measures databases.
func Check(cfg CheckConfig) error {
	var addresses []netip.Addr
	if cfg.Addresses != "" {
		var err error
		if addresses, err = readAddresses(cfg.Addresses); err != nil {
			return err
		}
	}
	all := []Measured{}
	for _, path := range cfg.Files {
		begin := time.Now()
		t, err := ReadFile(path)
		if err != nil {
			return err
		}
		m := measure(t, addresses)
		m.File, m.ReadMs = path, time.Since(begin).Milliseconds()
		m.LookupNs = lookupNs(t)
		all = append(all, m)
	}
	if cfg.JSON {
		return json.NewEncoder(cfg.Out).Encode(map[string][]Measured{"databases": all})
	}
	for i := range all {
		if err := all[i].write(cfg.Out); err != nil {
			return err
		}
	}
	return nil
}

func (m *Measured) write(out io.Writer) error {
	known := ""
	if c := m.Addresses; c != nil {
		known = fmt.Sprintf("of %d addresses the operator of %.1f %% is known and the country of %.1f %%\n", c.All, 100*c.Operator, 100*c.Country)
	}
	_, err := fmt.Fprintf(out, "%s\n%d ranges of IPv4, %d of IPv6; %d operators, %d countries\nread in %d ms, %.1f MB of memory, %d ns a look-up\n%s",
		m.File, m.RangesV4, m.RangesV6, m.Operators, m.Countries, m.ReadMs, float64(m.Bytes)/1e6, m.LookupNs, known)
	return err
}

func measure(t *Table, addresses []netip.Addr) Measured {
	m := Measured{
		RangesV4: len(t.v4.from), RangesV6: len(t.v6.from),
		Bytes: 12*(len(t.v4.from)+len(t.v6.from)) + 8*len(t.places),
	}
	operators, countries := map[uint32]bool{0: true}, map[[2]byte]bool{{}: true}
	for _, p := range t.places {
		operators[p.ASN], countries[p.Country] = true, true
	}
	m.Operators, m.Countries = len(operators)-1, len(countries)-1
	if len(addresses) == 0 {
		return m
	}
	c := Coverage{All: len(addresses)}
	for _, a := range addresses {
		p := t.Lookup(a)
		if p.ASN != 0 {
			c.Operator += 1 / float64(len(addresses))
		}
		if p.Country != [2]byte{} {
			c.Country += 1 / float64(len(addresses))
		}
	}
	m.Addresses = &c
	return m
}

// lookupNs looks a quarter of a million addresses up that jump over the whole space.
func lookupNs(t *Table) int64 {
	const n = 1 << 18
	begin, a := time.Now(), uint32(0)
	for range n {
		a += 0x9e3779b9
		t.Lookup(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}))
	}
	return time.Since(begin).Nanoseconds() / n
}

// maxAddresses bounds a list.
const maxAddresses = 10_000_000

func readAddresses(path string) (addresses []netip.Addr, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the addresses cannot be read: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		a, err := netip.ParseAddr(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of %s is no address", n, path)
		}
		if addresses = append(addresses, a); len(addresses) > maxAddresses {
			return nil, fmt.Errorf("%s has more than %d addresses", path, maxAddresses)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("the addresses cannot be read: %w", err)
	}
	return addresses, nil
}
