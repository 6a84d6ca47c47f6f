package server

import (
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"slipstream/origin/web"
)

// sending is the writer that http.ServeContent copies to. What lies in memory is sent from where it lies, and together with its header; by
// itself the copy would pass through a new buffer of 32 KiB, each filling of which is a system call. Files are left to the kernel, which
// echo's own writer would hide.
type sending struct {
	*echo.Response
	together bool // the connection takes bodies as they are
}

// serve has net/http do ranges, conditions and HEAD (RFC 9110 sections 13 and 14).
func serve(c echo.Context, body io.ReadSeeker) {
	done, together := web.Together(c.Request().Context())
	if together {
		defer done()
	}
	http.ServeContent(sending{c.Response(), together}, c.Request(), "", time.Time{}, body)
}

// ReadFrom implements io.ReaderFrom.
func (s sending) ReadFrom(from io.Reader) (int64, error) {
	if limited, ok := from.(*io.LimitedReader); ok && !s.together {
		if held, ok := limited.R.(interface{ Take(most int64) net.Buffers }); ok {
			return s.write(held.Take(limited.N))
		}
	}
	if !s.Committed {
		s.WriteHeader(http.StatusOK)
	}
	n, err := io.Copy(s.Writer, from)
	s.Size += n
	return n, err
}

func (s sending) write(all net.Buffers) (sent int64, err error) {
	for _, b := range all {
		n, err := s.Write(b)
		sent += int64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// resident is an object that the kernel has as well.
type resident struct {
	pieces
	file *os.File
}

// File is where the rest of it is.
func (r *resident) File() (*os.File, int64) { return r.file, r.at }
