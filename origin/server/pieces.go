package server

import (
	"errors"
	"io"
)

// pieces reads byte slices as if they were one, so that a track can be served from within its segment without a copy.
type pieces struct {
	slices [][]byte
	at     int64
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	skip := p.at
	for _, piece := range p.slices {
		if skip < int64(len(piece)) {
			n := copy(b, piece[skip:])
			p.at += int64(n)
			return n, nil
		}
		skip -= int64(len(piece))
	}
	return 0, io.EOF
}

func (p *pieces) size() (n int64) {
	for _, piece := range p.slices {
		n += int64(len(piece))
	}
	return n
}

// Seek implements io.Seeker.
func (p *pieces) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.at
	case io.SeekEnd:
		offset += p.size()
	}
	if offset < 0 {
		return 0, errors.New("there is nothing before the first byte")
	}
	p.at = offset
	return offset, nil
}
