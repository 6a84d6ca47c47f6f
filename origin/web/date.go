package web

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dated is a Date field and the second that it is for.
type dated struct {
	second int64
	field  []byte
}

var lastDate atomic.Pointer[dated]

// appendDate appends the Date field, which is written once a second.
func appendDate(header []byte, now time.Time) []byte {
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &dated{now.Unix(), []byte("Date: " + now.UTC().Format(http.TimeFormat) + "\r\n")}
		lastDate.Store(d)
	}
	return append(header, d.field...)
}
