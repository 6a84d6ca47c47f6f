package cmaf

import "errors"

// stream is what an encoder's run writes, on its way to what cuts it. After an error it returns that error for ever.
type stream struct {
	boxes boxes
	err   error
}

// write has take read the boxes that p completes, and returns what comes of them, also where one of them is bad.
func (s *stream) write(p []byte, take func(name string, box []byte) ([]Output, error)) ([]Output, error) {
	if s.err != nil {
		return nil, s.err
	}
	var done []Output
	s.err = s.boxes.feed(p, func(name string, box []byte) error {
		outputs, err := take(name, box)
		done = append(done, outputs...)
		return err
	})
	return done, s.err
}

func (s *stream) close() {
	if s.err == nil {
		s.err = errors.New("the stream was already closed")
	}
}
