package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"slipstream/origin/manifest"
)

// A CDN request ends when nothing came for fetchStall, and in any case when a
// slow link would long have been through: a drip must not hold a place for ever.
// The scheduler then tries again.
const (
	fetchStall    = 4 * time.Second
	fetchLimit    = 8 * time.Second
	fetchRateFull = 64 << 10 // bytes/s that media must come at on average, beyond fetchLimit
)

// statusError is an answer other than the one that was asked for.
type statusError struct {
	url    string
	status int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.url, e.status, http.StatusText(e.status))
}

// httpStatus is the status of an answer that was an error, 0 if there was none.
func httpStatus(err error) int {
	var answered *statusError
	if errors.As(err, &answered) {
		return answered.status
	}
	return 0
}

// fetcher gets things from the CDN. Its methods block: the session calls them in
// goroutines of their own and takes what they bring into its loop.
type fetcher struct {
	client *http.Client
}

// text gets a playlist.
func (f fetcher) text(ctx context.Context, url string) (string, error) {
	body, _, err := f.open(ctx, url, "", 0)
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, manifest.MaxPlaylistBytes+1))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", url, err)
	}
	return string(b), nil
}

// leafList gets an object's leaf list; it is not verified here.
func (f fetcher) leafList(ctx context.Context, url string, count int) ([]manifest.Hash, error) {
	body, _, err := f.open(ctx, url, "", 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b := make([]byte, count*len(manifest.Hash{}))
	if _, err := io.ReadFull(body, b); err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	list := make([]manifest.Hash, count)
	for i := range list {
		copy(list[i][:], b[i*len(list[i]):])
	}
	return list, nil
}

// leaves gets leaves first..last of an object of size bytes and hands each to
// take as soon as it is there. It returns the number of bytes received.
func (f fetcher) leaves(ctx context.Context, url string, size int64, first, last int, take func(leaf int, data []byte)) (int64, error) {
	from := int64(first) * manifest.LeafSize
	to := min(int64(last+1)*manifest.LeafSize, size)
	rangeHeader := ""
	if from > 0 || to < size {
		rangeHeader = fmt.Sprintf("bytes=%d-%d", from, to-1)
	}
	body, partial, err := f.open(ctx, url, rangeHeader, to-from)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	received := int64(0)
	if !partial { // a server that knows no ranges sends everything
		if received, err = io.CopyN(io.Discard, body, from); err != nil {
			return received, fmt.Errorf("reading %s: %w", url, err)
		}
	}
	for leaf := first; leaf <= last; leaf++ {
		data := make([]byte, manifest.LeafLength(size, leaf))
		n, err := io.ReadFull(body, data)
		received += int64(n)
		if err != nil {
			return received, fmt.Errorf("reading leaf %d of %s: %w", leaf, url, err)
		}
		take(leaf, data)
	}
	return received, nil
}

// open sends a GET for size bytes of media, or for something small. It tells
// whether the answer is the part that was asked for, or the whole.
func (f fetcher) open(ctx context.Context, url, rangeHeader string, size int64) (body io.ReadCloser, partial bool, err error) {
	limit := max(fetchLimit, time.Duration(size/fetchRateFull)*time.Second)
	ctx, ended := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s took longer than %v", url, limit))
	ctx, cancelled := context.WithCancelCause(ctx)
	cancel := func(cause error) {
		cancelled(cause)
		ended()
	}
	stalled := time.AfterFunc(fetchStall, func() {
		cancel(fmt.Errorf("%s brought nothing for %v", url, fetchStall))
	})
	fail := func(err error) (io.ReadCloser, bool, error) {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		stalled.Stop()
		cancel(nil)
		return nil, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fail(err)
	}
	if rangeHeader != "" {
		req.Header.Set("Range", rangeHeader)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return fail(err)
	}
	partial = resp.StatusCode == http.StatusPartialContent && rangeHeader != ""
	if resp.StatusCode != http.StatusOK && !partial {
		resp.Body.Close()
		return fail(&statusError{url, resp.StatusCode})
	}
	return &watchedBody{resp.Body, stalled, cancel}, partial, nil
}

type watchedBody struct {
	body    io.ReadCloser
	stalled *time.Timer
	cancel  func(cause error)
}

func (w *watchedBody) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if n > 0 {
		w.stalled.Reset(fetchStall)
	}
	return n, err
}

func (w *watchedBody) Close() error {
	w.stalled.Stop()
	err := w.body.Close()
	w.cancel(nil)
	return err
}
