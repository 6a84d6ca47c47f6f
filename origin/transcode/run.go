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
	process *child.Process
	mux     *muxer
	input   *os.File
	readers sync.WaitGroup
	broken  chan error // why a reader gave up, from whom ffmpeg was then killed
}

// startRun starts ffmpeg for pictures from pts on.
func (s *Session) startRun(ctx context.Context, pts time.Duration) (*run, error) {
	epoch, err := s.anchor.Epoch(pts)
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
	r := &run{session: s, mux: mux, broken: make(chan error, len(s.cfg.Ladder))}
	if err := r.start(ctx, arguments(s.cfg.Ladder, s.cfg.FrameRate, p, sound != nil)); err != nil {
		return nil, err
	}
	s.out.runStarts()
	s.cfg.Logger.Info("ffmpeg was started", "pid", r.process.Pid(), "rungs", len(s.cfg.Ladder), "sound", sound != nil, "startMs", p.start.Ms())
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
	for range r.session.cfg.Ladder {
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
	for i, rung := range r.session.cfg.Ladder {
		r.readers.Add(1)
		go r.read(ctx, rung.Name, ours[1+i])
	}
	return nil
}

// read cuts the output of one rung until ffmpeg closes it.
func (r *run) read(ctx context.Context, rendition string, pipe *os.File) {
	defer r.readers.Done()
	defer pipe.Close()
	cutter := cmaf.NewCutter(rendition)
	buffer := make([]byte, 64<<10)
	for {
		n, readErr := pipe.Read(buffer)
		outputs, err := cutter.Write(buffer[:n])
		r.session.out.emit(outputs)
		if err != nil {
			r.broken <- fmt.Errorf("the %s output of ffmpeg cannot be cut: %w", rendition, err)
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
		r.session.cfg.Logger.Warn("ffmpeg did not end well", "error", exit)
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
