package transcode

// A group is what has come since the last key frame, that one included, in case another run of ffmpeg has to decode it too.
type group struct {
	samples []sample
	bytes   int
}

// add takes the next sample. A group that becomes as long as the queue is given up: the next key frame begins another.
func (g *group) add(m sample) {
	if m.keyframe {
		g.samples, g.bytes = nil, 0 // not cut short: somebody may have the old ones
	} else if len(g.samples) == 0 {
		return
	}
	g.samples, g.bytes = append(g.samples, m), g.bytes+m.size
	if len(g.samples) > queueSamples || g.bytes > queueBytes {
		g.samples, g.bytes = nil, 0
	}
}
