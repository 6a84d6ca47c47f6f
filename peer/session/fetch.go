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

// fetcher gets things from the CDNs. Its methods block: the session calls them in
// goroutines of their own and takes what they bring into its loop.
type fetcher struct {
	client *http.Client
	cdns   *cdns
}

// text gets something small, from whichever CDN has it, and tells which that is.
func (f fetcher) text(ctx context.Context, url string) (text string, from int, err error) {
	from, err = f.cdns.anywhere(ctx, url, func(address string, patience time.Duration) error {
		text, err = f.textAt(ctx, address, patience)
		return err
	})
	return text, from, err
}

// textAt gets it from one place.
func (f fetcher) textAt(ctx context.Context, address string, patience time.Duration) (string, error) {
	body, _, err := f.open(ctx, address, "", patience, 2*patience)
	if err != nil {
		return "", err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, manifest.MaxPlaylistBytes+1))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", address, err)
	}
	return string(b), nil
}

// leafList gets an object's leaf list; it is not verified here.
func (f fetcher) leafList(ctx context.Context, url string, count int) (list []manifest.Hash, from int, err error) {
	b := make([]byte, count*len(manifest.Hash{}))
	from, err = f.cdns.anywhere(ctx, url, func(address string, patience time.Duration) error {
		body, _, err := f.open(ctx, address, "", patience, 2*patience)
		if err != nil {
			return err
		}
		defer body.Close()
		if _, err := io.ReadFull(body, b); err != nil {
			return fmt.Errorf("reading %s: %w", address, err)
		}
		return nil
	})
	if err != nil {
		return nil, from, err
	}
	list = make([]manifest.Hash, count)
	for i := range list {
		copy(list[i][:], b[i*len(list[i]):])
	}
	return list, from, nil
}

// leaves gets leaves first..last of an object and hands each to take as soon as it is there. Where another CDN takes over it is asked
// only for what is left. It returns the number of bytes received, and who sent the last of them.
func (f fetcher) leaves(ctx context.Context, url string, rec manifest.Record, first, last int, take func(leaf int, data []byte)) (received int64, from int, err error) {
	from, err = f.cdns.anywhere(ctx, url, func(address string, patience time.Duration) error {
		n, err := f.leavesAt(ctx, address, patience, rec, first, last, func(leaf int, data []byte) {
			first = leaf + 1
			take(leaf, data)
		})
		received += n
		return err
	})
	return received, from, err
}

func (f fetcher) leavesAt(ctx context.Context, address string, patience time.Duration, rec manifest.Record, first, last int, take func(leaf int, data []byte)) (int64, error) {
	from := int64(first) * manifest.LeafSize
	to := min(int64(last+1)*manifest.LeafSize, rec.Size)
	rangeHeader := ""
	if from > 0 || to < rec.Size {
		rangeHeader = fmt.Sprintf("bytes=%d-%d", from, to-1)
	}
	limit := max(fetchLimit, time.Duration((to-from)/fetchRateFull)*time.Second)
	if patience < fetchStall { // slower than it is played, and there is another
		limit = max(patience, time.Duration(rec.DurationMs*3/2*(to-from)/rec.Size)*time.Millisecond)
	}
	body, partial, err := f.open(ctx, address, rangeHeader, patience, limit)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	received := int64(0)
	if !partial { // a server that knows no ranges sends everything
		if received, err = io.CopyN(io.Discard, body, from); err != nil {
			return received, fmt.Errorf("reading %s: %w", address, err)
		}
	}
	for leaf := first; leaf <= last; leaf++ {
		data := make([]byte, manifest.LeafLength(rec.Size, leaf))
		n, err := io.ReadFull(body, data)
		received += int64(n)
		if err != nil {
			return received, fmt.Errorf("reading leaf %d of %s: %w", leaf, address, err)
		}
		take(leaf, data)
	}
	return received, nil
}

// open sends a GET that may bring nothing for so long, and take so long in all. It tells
// whether the answer is the part that was asked for, or the whole.
func (f fetcher) open(ctx context.Context, url, rangeHeader string, patience, limit time.Duration) (body io.ReadCloser, partial bool, err error) {
	ctx, ended := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s took longer than %v", url, limit))
	ctx, cancelled := context.WithCancelCause(ctx)
	cancel := func(cause error) {
		cancelled(cause)
		ended()
	}
	stalled := time.AfterFunc(patience, func() {
		cancel(fmt.Errorf("%s brought nothing for %v", url, patience))
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
	return &watchedBody{resp.Body, stalled, patience, cancel}, partial, nil
}

type watchedBody struct {
	body     io.ReadCloser
	stalled  *time.Timer
	patience time.Duration
	cancel   func(cause error)
}

func (w *watchedBody) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if n > 0 {
		w.stalled.Reset(w.patience)
	}
	return n, err
}

func (w *watchedBody) Close() error {
	w.stalled.Stop()
	err := w.body.Close()
	w.cancel(nil)
	return err
}
