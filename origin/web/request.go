package web

import (
	"bytes"
)

// Request is what the lane takes: a GET or HEAD of HTTP/1.1 without a body, of the strictest form (RFC 9112). Its slices last until it
// is answered.
type Request struct {
	Head           bool   // only the header of the answer is wanted
	Path, Query    []byte // of letters, digits and a few signs; nothing in them is escaped
	AcceptEncoding []byte // header fields, nil if they are not there
	IfNoneMatch    []byte
	Range          []byte
}

// Param is a parameter of the query, "" if it is not there. Of several the first counts, as for net/url.
func (q *Request) Param(name string) string {
	for rest := q.Query; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		if key, value, _ := bytes.Cut(pair, []byte("=")); len(pair) > 0 && string(key) == name {
			return string(value)
		}
	}
	return ""
}

// read reads the request that in begins with, and says how long it is. It refuses whatever is longer than what is there, unusual, or
// could be understood in two ways: then somebody else has to read all of it. It accepts nothing that net/http would not, and understands it
// the same way.
func (q *Request) read(in []byte) (size int, ok bool) {
	*q = Request{}
	line, rest, ok := cutLine(in)
	if !ok || !q.readLine(line) {
		return 0, false
	}
	hosts := 0
	for {
		line, rest, ok = cutLine(rest)
		switch {
		case !ok:
			return 0, false
		case len(line) == 0:
			return len(in) - len(rest), hosts == 1
		}
		name, value, ok := cutField(line)
		if !ok {
			return 0, false
		}
		switch fieldOf(name) {
		case fieldPlain:
		case fieldHost:
			hosts++
			ok = len(value) > 0 && only(value, inHost)
		case fieldConnection:
			ok = bytes.EqualFold(value, []byte("keep-alive"))
		case fieldAcceptEncoding:
			ok = once(&q.AcceptEncoding, value)
		case fieldIfNoneMatch:
			ok = once(&q.IfNoneMatch, value)
		case fieldRange:
			ok = once(&q.Range, value)
		case fieldOther:
			ok = false
		}
		if !ok {
			return 0, false
		}
	}
}

// once takes a field that must not come twice, nor be empty.
func once(field *[]byte, value []byte) bool {
	if *field != nil || len(value) == 0 {
		return false
	}
	*field = value
	return true
}

// cutLine cuts a line off, which ends in CR LF and has neither elsewhere.
func cutLine(in []byte) (line, rest []byte, ok bool) {
	end := bytes.IndexByte(in, '\n')
	if end < 1 || in[end-1] != '\r' {
		return nil, nil, false
	}
	return in[:end-1], in[end+1:], true
}

var (
	get      = []byte("GET /")
	head     = []byte("HEAD /")
	protocol = []byte(" HTTP/1.1")
)

// readLine reads the request line.
func (q *Request) readLine(line []byte) bool {
	target, ok := bytes.CutSuffix(line, protocol)
	if !ok {
		return false
	}
	switch {
	case bytes.HasPrefix(target, get):
		target = target[len(get)-1:]
	case bytes.HasPrefix(target, head):
		target, q.Head = target[len(head)-1:], true
	default:
		return false
	}
	q.Path, q.Query, _ = bytes.Cut(target, []byte("?"))
	// What a router would clean or redirect is left to it.
	return only(q.Path, inPath) && only(q.Query, inQuery) && !bytes.Contains(q.Path, []byte("//")) && !bytes.Contains(q.Path, []byte("/."))
}

// cutField reads a header field. A line that goes on with the one before it has no name, and so is refused.
func cutField(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || !only(name, inName) || !only(value, inValue) {
		return nil, nil, false
	}
	return name, bytes.Trim(value, " \t"), true
}

// field is what a header field means to the lane.
type field int

const (
	fieldPlain field = iota // nothing
	fieldOther              // that the request is not for it
	fieldHost
	fieldConnection
	fieldAcceptEncoding
	fieldIfNoneMatch
	fieldRange
)

// fields are those that mean something: where a request ends, what becomes of the connection, or what the answer is.
var fields = map[string]field{
	"host": fieldHost, "connection": fieldConnection, "accept-encoding": fieldAcceptEncoding, "if-none-match": fieldIfNoneMatch, "range": fieldRange,
	"content-length": fieldOther, "transfer-encoding": fieldOther, "te": fieldOther, "trailer": fieldOther,
	"expect": fieldOther, "upgrade": fieldOther, "http2-settings": fieldOther, "proxy-connection": fieldOther,
	"if-match": fieldOther, "if-range": fieldOther, "if-modified-since": fieldOther, "if-unmodified-since": fieldOther,
}

// longestField is the longest name in fields.
const longestField = len("if-unmodified-since")

func fieldOf(name []byte) field {
	if len(name) > longestField {
		return fieldPlain
	}
	var lower [longestField]byte
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return fields[string(lower[:len(name)])]
}

// Sets of characters.
const (
	inPath uint8 = 1 << iota
	inQuery
	inHost
	inName
	inValue
)

var sets = func() (of [256]uint8) {
	add := func(set uint8, characters string) {
		for _, c := range []byte(characters) {
			of[c] |= set
		}
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	add(inPath, letters+"-._~/")
	add(inQuery, letters+"-._~=&")
	add(inHost, letters+"-.:[]")
	add(inName, letters+"-_.!#$%&'*+^`|~") // a token (RFC 9110, section 5.6.2)
	add(inValue, "\t")
	for c := ' '; c <= '~'; c++ {
		add(inValue, string(c))
	}
	return of
}()

// only reports whether all of b is in a set.
func only(b []byte, set uint8) bool {
	for _, c := range b {
		if sets[c]&set == 0 {
			return false
		}
	}
	return true
}
