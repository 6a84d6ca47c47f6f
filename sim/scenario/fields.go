package scenario

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// fields are the settings of one section. Each getter takes its setting away, so
// what remains at the end is what nobody knows. The first thing that is wrong
// stays; it names the line and the setting.
type fields struct {
	path  string // "stream."
	nodes map[string]ast.Node
	left  []*ast.MappingValueNode
	known []string
	fault *fault
}

// fault is shared by all sections of a file.
type fault struct{ err error }

func (f *fault) at(node ast.Node, format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("line %d: %s", node.GetToken().Position.Line, fmt.Sprintf(format, args...))
	}
}

// section reads a mapping.
func section(node ast.Node, path string, fault *fault) *fields {
	f := &fields{path: path, nodes: map[string]ast.Node{}, fault: fault}
	switch node := node.(type) {
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		f.left = node.Values
	case *ast.MappingValueNode:
		f.left = []*ast.MappingValueNode{node}
	default:
		fault.at(node, "%s must hold settings, each on a line of its own as name: value", describe(path))
	}
	for _, v := range f.left {
		f.nodes[v.Key.GetToken().Value] = v.Value
	}
	return f
}

func describe(path string) string {
	if path == "" {
		return "the scenario"
	}
	return strings.TrimSuffix(path, ".")
}

// end complains of settings that no getter asked for.
func (f *fields) end() {
	for _, v := range f.left {
		if name := v.Key.GetToken().Value; !slices.Contains(f.known, name) {
			f.fault.at(v.Key, "%s has no setting %q; it has %s", describe(f.path), name, strings.Join(f.known, ", "))
		}
	}
}

func (f *fields) take(name string) (ast.Node, bool) {
	f.known = append(f.known, name)
	node, ok := f.nodes[name]
	if _, null := node.(*ast.NullNode); null {
		ok = false // "stream:" with nothing behind it
	}
	return node, ok
}

// scalar returns the text of a value, without quotes.
func (f *fields) scalar(name string) (text string, node ast.Node, ok bool) {
	node, ok = f.take(name)
	if !ok {
		return "", nil, false
	}
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		f.fault.at(node, "%s%s must be a single value", f.path, name)
		return "", nil, false
	}
	return node.GetToken().Value, node, true
}

func (f *fields) whole(name, what string, units []unit, most int64, into *int64) {
	if text, node, ok := f.scalar(name); ok {
		v, ok := parse(text, units)
		if !ok || v > float64(most) {
			f.fault.at(node, "%s%s: %q is not %s", f.path, name, text, what)
			return
		}
		*into = int64(math.Round(v))
	}
}

func (f *fields) rate(name string, into *int64) {
	f.whole(name, "a rate such as 4Mbps or 500kbps, at most 100Gbps", rateUnits, 100e9/8, into)
}

func (f *fields) duration(name string, into *int64) {
	f.whole(name, "a time such as 30ms, 2s or 1min, at most 24h", durationUnits, 24*3_600_000, into)
}

// list returns the entries of a list, none if it is not there.
func (f *fields) list(name, what string) []ast.Node {
	node, ok := f.take(name)
	if !ok {
		return nil
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		f.fault.at(node, "%s%s must be %s", f.path, name, what)
		return nil
	}
	return list.Values
}

// durations reads a list of times.
func (f *fields) durations(name string, into *[]int64) {
	for _, entry := range f.list(name, "a list of times") {
		v, ok := parse(entry.GetToken().Value, durationUnits)
		if !ok || v > 10_000 {
			f.fault.at(entry, "%s%s: %q is not a time of at most 10s", f.path, name, entry.GetToken().Value)
			return
		}
		*into = append(*into, int64(math.Round(v)))
	}
}

// oneOf reads one of several names.
func oneOf[T any](f *fields, name string, values map[string]T, into *T) {
	if text, node, ok := f.scalar(name); ok {
		v, ok := values[text]
		if !ok {
			f.fault.at(node, "%s%s: %q is none of %s", f.path, name, text, names(values))
			return
		}
		*into = v
	}
}

func names[T any](values map[string]T) string {
	return strings.Join(slices.Sorted(maps.Keys(values)), ", ")
}

func (f *fields) size(name string, into *int64) {
	f.whole(name, "a size such as 93B, at most 9000B", sizeUnits, 9000, into)
}

// share is a part of a whole.
func (f *fields) share(name string, into *float64) {
	if text, node, ok := f.scalar(name); ok {
		v, ok := parse(text, shareUnits)
		if !ok || v > 1 {
			f.fault.at(node, "%s%s: %q is not a share from 0%% to 100%%", f.path, name, text)
			return
		}
		*into = v
	}
}

// number is for what has no unit.
func (f *fields) number(name string, into *float64) {
	if text, node, ok := f.scalar(name); ok {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0 && v <= 1e9) {
			f.fault.at(node, "%s%s: %q is not a number from 0 to 1e9", f.path, name, text)
			return
		}
		*into = v
	}
}

func (f *fields) integer(name string, into *int64) {
	if text, node, ok := f.scalar(name); ok {
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 0 || v > math.MaxInt32 {
			f.fault.at(node, "%s%s: %q is not a whole number from 0 to %d", f.path, name, text, math.MaxInt32)
			return
		}
		*into = v
	}
}

func (f *fields) count(name string, into *int) {
	v := int64(*into)
	f.integer(name, &v)
	*into = int(v)
}

func (f *fields) flag(name string, into *bool) {
	if text, node, ok := f.scalar(name); ok {
		if text != "true" && text != "false" {
			f.fault.at(node, "%s%s: %q is neither true nor false", f.path, name, text)
			return
		}
		*into = text == "true"
	}
}

func (f *fields) text(name string, into *string) {
	if text, _, ok := f.scalar(name); ok {
		*into = text
	}
}

// inner opens a section within this one and reads it to its end.
func (f *fields) inner(name string, read func(*fields)) {
	node, ok := f.take(name)
	if !ok {
		return
	}
	s := section(node, f.path+name+".", f.fault)
	read(s)
	s.end()
}

// each reads a list of sections.
func (f *fields) each(name string, read func(*fields)) {
	for i, entry := range f.list(name, "a list, each entry beginning with a dash") {
		s := section(entry, fmt.Sprintf("%s%s[%d].", f.path, name, i+1), f.fault)
		read(s)
		s.end()
	}
}
