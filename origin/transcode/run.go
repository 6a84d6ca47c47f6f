package transcode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"slipstream/origin/child"
	"slipstream/origin/cmaf"
)

// A run is one life of ffmpeg, with a pipe in and a pipe out for each rung.
type run struct {
	session *Session
	rungs   []Rung // that it makes
	with    []Rung // likewise if one more were made
	process *child.Process
	mux     *muxer
	aligned alignment // of a picture that is passed through
	input   *os.File
	readers sync.WaitGroup
	broken  chan error // why a reader gave up, from whom ffmpeg was then killed
}

// startRun starts ffmpeg for pictures from a key frame on.
func (s *Session) startRun(ctx context.Context, first sample) (*run, error) {
	epoch, err := s.anchor.Epoch(first.pts)
	if err != nil {
		return nil, err
	}
	p, err := planFrom(epoch, s.cfg.FrameRate)
	if err != nil {
		return nil, err
	}
	sound := s.cfg.sound()
	mux, err := newMuxer(p, s.anchor, sound)
	if err != nil {
		return nil, fmt.Errorf("the input of ffmpeg cannot be written: %w", err)
	}
	r := &run{session: s, mux: mux}
	r.rungs, r.with = s.choose(first)
	r.broken = make(chan error, len(r.rungs))
	s.out.runStarts(s.status.Rungs, p.start.Ms())
	if err := r.start(ctx, arguments(r.rungs, s.cfg.FrameRate, p, sound != nil)); err != nil {
		return nil, err
	}
	s.governor.Began(s.seen(r))
	s.cfg.Logger.Info("ffmpeg was started", "pid", r.process.Pid(), "rungs", s.status.Rungs, "sound", sound != nil, "startMs", p.start.Ms())
	return r, nil
}

func (r *run) start(ctx context.Context, args []string) (err error) {
	var theirs, ours []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			for _, f := range ours {
				f.Close()
			}
		}
	}()
	in, input, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("no pipe to ffmpeg: %w", err)
	}
	theirs, ours = append(theirs, in), append(ours, input)
	for range r.rungs {
		read, write, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("no pipe from ffmpeg: %w", err)
		}
		theirs, ours = append(theirs, write), append(ours, read)
	}
	r.process, err = child.Start(ctx, child.Config{Program: "ffmpeg", Args: args, Stdin: in, Files: theirs[1:]})
	if err != nil {
		return err
	}
	r.input = input
	for i, rung := range r.rungs {
		r.readers.Add(1)
		go r.read(ctx, rung, ours[1+i])
	}
	return nil
}

// A cutter is one of package cmaf.
type cutter interface {
	Write([]byte) ([]cmaf.Output, error)
	Close() []cmaf.Output
}

// A cutError says that what ffmpeg made of a rung cannot be cut.
type cutError struct {
	rung Rung
	err  error
}

func (e *cutError) Error() string {
	return fmt.Sprintf("the %s output of ffmpeg cannot be cut: %v", e.rung.Name, e.err)
}

func (e *cutError) Unwrap() error { return e.err }

// read cuts the output of one rung until ffmpeg closes it.
func (r *run) read(ctx context.Context, rung Rung, pipe *os.File) {
	defer r.readers.Done()
	defer pipe.Close()
	var cutter cutter = cmaf.NewCutter(rung.Name)
	if rung.SoundOnly() {
		cutter = cmaf.NewSoundCutter(rung.Name)
	}
	buffer := make([]byte, 64<<10)
	for {
		n, readErr := pipe.Read(buffer)
		outputs, err := cutter.Write(buffer[:n])
		r.session.out.emit(outputs)
		if err != nil {
			r.broken <- &cutError{rung, err}
			r.process.Kill()
			return
		}
		if readErr != nil {
			break
		}
	}
	if ctx.Err() == nil { // otherwise everything is being torn down
		r.session.out.emit(cutter.Close())
	}
}

// take passes a sample on to ffmpeg, unless the run passes pictures through and this one does not fit.
func (r *run) take(m sample) (fits bool, err error) {
	if m.video && r.rungs[0].copied {
		if fault := r.aligned.check(&m, r.session.anchor); fault != "" {
			r.session.misfit(fault)
			return false, nil
		}
	}
	return true, r.feed(m)
}

// feed writes a sample to ffmpeg, and waits for ffmpeg to take it.
func (r *run) feed(m sample) error {
	packets, err := r.mux.write(m)
	if err != nil {
		return fmt.Errorf("the input of ffmpeg cannot be written: %w", err)
	}
	if len(packets) == 0 {
		return nil
	}
	if err := r.input.SetWriteDeadline(time.Now().Add(r.session.cfg.Patience)); err != nil {
		return fmt.Errorf("the pipe to ffmpeg: %w", err)
	}
	_, err = r.input.Write(packets)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("ffmpeg has taken no input for %v", r.session.cfg.Patience)
	default: // the pipe broke: ffmpeg has ended or is about to
		r.input.Close()
		r.await()
		return r.ended()
	}
}

// finish ends the input and waits for the last segments.
func (r *run) finish(ctx context.Context) error {
	r.input.Close()
	r.await()
	r.readers.Wait()
	if exit := r.process.Wait(); exit.Err != nil && ctx.Err() == nil {
		r.session.cfg.Logger.Warn("ffmpeg did not end well", "error", r.ended())
	}
	return nil
}

// await waits for ffmpeg to end, and kills it when that takes too long.
func (r *run) await() {
	timer := time.NewTimer(r.session.cfg.Patience)
	defer timer.Stop()
	select {
	case <-r.process.Done():
	case <-timer.C:
		r.process.Kill()
		<-r.process.Done()
	}
}

// ended says why ffmpeg has ended though nobody asked it to.
func (r *run) ended() error {
	exit := r.process.Wait()
	select {
	case err := <-r.broken:
		return err
	default:
		return exit
	}
}

// stop leaves nothing behind: no process, no pipe, no goroutine.
func (r *run) stop() {
	r.process.Kill()
	r.input.Close()
	<-r.process.Done()
	r.readers.Wait()
}
