package ingest

import (
	"context"
	"fmt"
	"io"
)

// segmentPatience is how many times longer an input may be without a picture than a publisher: segments come all at once,
// and then nothing for as long as they last.
const segmentPatience = 3

// An Input is the place of a channel's publisher, taken by a source that this side fetches itself. It is kept while the source
// is away, so that a passing fault of the source does not give its channel to somebody else.
type Input struct {
	server   *Server
	claim    *claim
	protocol string
}

// Reserve takes a channel, or its backup's place, for a source. Publishers are told that the channel has one; from is what the operator is told of it.
func (s *Server) Reserve(ctx context.Context, channel, protocol, from string) (*Input, error) {
	claim, err := s.claims.take(ctx, channel, from)
	if err != nil {
		return nil, err
	}
	return &Input{s, claim, protocol}, nil
}

// Release gives the channel back.
func (in *Input) Release() {
	in.claim.end()
	in.claim.release()
}

// Receive reads an MPEG transport stream as that of a publisher, until it ends or breaks a rule, and closes it. It always
// returns an error. The last segments are out by then.
func (in *Input) Receive(ctx context.Context, stream io.ReadCloser) (err error) {
	logger := in.server.cfg.Logger.With("remote", in.claim.remote, "channel", in.claim.place)
	f := in.server.feed(ctx, in.protocol, in.claim.place, logger)
	defer func() {
		if p := recover(); p != nil { // a defect of a library must not take all channels off the air
			err = fmt.Errorf("the source's bytes made their reader panic: %v", p)
		}
		if failed := f.end("the source has gone"); failed != nil {
			logger.Error("a session did not end well", "error", failed)
		}
	}()
	w := watch(stream, segmentPatience*in.server.cfg.IdleTimeout)
	defer w.stop()
	return w.why((&transport{feed: f, ctx: ctx, progress: w.progress}).read(w))
}
