package ingest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// A body is what a request brings. It may take as long as it likes, as long as something comes.
type body struct {
	*bufio.Reader
	from io.Reader
	wire *http.ResponseController
	most time.Duration

	mu    sync.Mutex
	ended bool // no deadline may be set any more
	late  bool // the deadline has been set to the past for good
}

func newBody(w http.ResponseWriter, r *http.Request, most time.Duration) *body {
	b := &body{from: r.Body, wire: http.NewResponseController(w), most: most}
	b.Reader = bufio.NewReaderSize(readerFunc(b.read), 64<<10)
	return b
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (b *body) read(p []byte) (int, error) {
	b.mu.Lock()
	if !b.late {
		_ = b.wire.SetReadDeadline(time.Now().Add(b.most)) // where it is not possible the server's own limits hold
	}
	b.mu.Unlock()
	n, err := b.from.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.wire.SetReadDeadline(time.Time{}) // the connection is for the next request
	}
	return n, err
}

// begin returns the header of the first box, nothing if the body is empty.
func (b *body) begin() ([]byte, error) {
	head, err := b.Peek(8)
	switch {
	case len(head) == 8:
		return head, nil
	case errors.Is(err, io.EOF) && len(head) == 0:
		return nil, nil
	case errors.Is(err, io.EOF):
		return nil, answer(http.StatusBadRequest, "the body ends within its first box")
	default:
		return nil, statusOf(err)
	}
}

// stopWith has the reading fail when the context ends. The function that it returns must be called before done.
func (b *body) stopWith(ctx context.Context) (stop func()) {
	cancel := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.late = true; !b.ended {
			_ = b.wire.SetReadDeadline(time.Unix(1, 0))
		}
	})
	return func() { cancel() }
}

// done says that the request is over, whose connection must be left alone then.
func (b *body) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}
