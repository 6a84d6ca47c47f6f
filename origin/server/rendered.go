package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// rendered is a playlist, made and compressed once for all who ask.
type rendered struct {
	edge         <-chan struct{} // its store.Edge.Changed, which no other state of the rendition has
	text, zipped []byte
	tag          string
}

func newRendered(text string) *rendered {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(text)) // a buffer takes everything
	_ = w.Close()
	sum := sha256.Sum256([]byte(text))
	return &rendered{text: []byte(text), zipped: zipped.Bytes(), tag: base64.RawURLEncoding.EncodeToString(sum[:16])}
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3). What it says of codings that we do not have is of no
// interest, and "*" alone is not taken for a wish.
func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, quality, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, weighed := strings.CutPrefix(strings.ReplaceAll(quality, " ", ""), "q=")
			return !weighed || strings.Trim(q, "0.") != ""
		}
	}
	return false
}
