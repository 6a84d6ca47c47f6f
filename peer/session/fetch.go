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

// fetchStall ends a CDN request that brought nothing for this long; the
// scheduler then tries again.
const fetchStall = 4 * time.Second

// fetcher gets things from the CDN. Its methods block: the session calls them in
// goroutines of their own and takes what they bring into its loop.
type fetcher struct {
	client *http.Client
}

// text gets a playlist.
func (f fetcher) text(ctx context.Context, url string) (string, error) {
	body, err := f.open(ctx, url, "", http.StatusOK)
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
	body, err := f.open(ctx, url, "", http.StatusOK)
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
	rangeHeader, status := "", http.StatusOK
	if from > 0 || to < size {
		rangeHeader, status = fmt.Sprintf("bytes=%d-%d", from, to-1), http.StatusPartialContent
	}
	body, err := f.open(ctx, url, rangeHeader, status)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	received := int64(0)
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

// open sends a GET and checks the status. The body gives up when nothing comes
// for fetchStall.
func (f fetcher) open(ctx context.Context, url, rangeHeader string, status int) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stalled := time.AfterFunc(fetchStall, func() {
		cancel(fmt.Errorf("%s brought nothing for %v", url, fetchStall))
	})
	fail := func(err error) (io.ReadCloser, error) {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		stalled.Stop()
		cancel(nil)
		return nil, err
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
	if resp.StatusCode != status {
		resp.Body.Close()
		return fail(fmt.Errorf("%s answered %s", url, resp.Status))
	}
	return &watchedBody{resp.Body, stalled, cancel}, nil
}

type watchedBody struct {
	body    io.ReadCloser
	stalled *time.Timer
	cancel  context.CancelCauseFunc
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
