package geo

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
)

// writeMaxMind makes a database of the MaxMind DB format, version 2.0, with records of 32 bits: the search tree, sixteen
// zero bytes, the data, and the metadata behind its mark. https://maxmind.github.io/MaxMind-DB/
func writeMaxMind(networks map[string]map[string]any) []byte {
	type node [2]uint32 // 0: nothing; else a node's number, or dataMark and an offset
	const dataMark = 1 << 31
	nodes := []node{{}}
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		p := netip.MustParsePrefix(name)
		address, bits := p.Addr().As16(), p.Bits()
		if p.Addr().Is4() { // lies at ::/96
			clear(address[:12])
			bits += 96
		}
		leaf := dataMark | uint32(len(data))
		data = appendValue(data, networks[name])
		at := uint32(0)
		for i := range bits {
			side := address[i/8] >> (7 - i%8) & 1
			if i == bits-1 {
				nodes[at][side] = leaf
				break
			}
			if nodes[at][side] == 0 {
				nodes = append(nodes, node{})
				nodes[at][side] = uint32(len(nodes) - 1)
			}
			at = nodes[at][side]
		}
	}
	count := uint32(len(nodes))
	var out []byte
	for _, n := range nodes {
		for _, record := range n {
			switch {
			case record == 0:
				record = count
			case record&dataMark != 0:
				record = count + 16 + record&^dataMark
			}
			out = binary.BigEndian.AppendUint32(out, record)
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return appendValue(out, map[string]any{
		"binary_format_major_version": uint32(2), "binary_format_minor_version": uint32(0), "build_epoch": uint32(1),
		"database_type": "test", "ip_version": uint32(6), "node_count": count, "record_size": uint32(32),
	})
}

func appendValue(out []byte, v any) []byte {
	switch v := v.(type) {
	case string: // type 2, shorter than 29 bytes
		return append(append(out, 2<<5|byte(len(v))), v...)
	case uint32: // type 6
		return binary.BigEndian.AppendUint32(append(out, 6<<5|4), v)
	case map[string]any: // type 7
		out = append(out, 7<<5|byte(len(v)))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if len(key) < 29 {
				out = append(append(out, 2<<5|byte(len(key))), key...)
			} else {
				out = append(append(out, 2<<5|29, byte(len(key)-29)), key...)
			}
			out = appendValue(out, v[key])
		}
		return out
	}
	panic("no such kind of value")
}
