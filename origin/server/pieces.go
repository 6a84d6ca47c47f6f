package server

import (
	"errors"
	"io"
	"net"
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

// Take returns the next bytes, at most so many, where they lie.
func (p *pieces) Take(most int64) (next net.Buffers) {
	skip := p.at
	for _, piece := range p.slices {
		if skip >= int64(len(piece)) {
			skip -= int64(len(piece))
			continue
		}
		piece = piece[skip:min(int64(len(piece)), skip+most)]
		skip = 0
		if len(piece) == 0 {
			break
		}
		most -= int64(len(piece))
		p.at += int64(len(piece))
		next = append(next, piece)
	}
	return next
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
