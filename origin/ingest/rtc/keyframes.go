package rtc

import "time"

const (
	// keyframeEvery is how far apart key frames may be: encoders for calls make none unless they are asked.
	keyframeEvery = 4 * time.Second
	// keyframePause is the least time between two requests.
	keyframePause = 500 * time.Millisecond
	// mostFrozen is how long pictures are left out after a loss: an encoder that does not listen must not freeze the picture.
	mostFrozen = 2 * time.Second
)

// keyframes decides when to ask the publisher for a key frame, and which pictures are worth showing until it comes.
type keyframes struct {
	asked  time.Time // zero: never
	came   time.Time // the last one
	frozen time.Time // since when pictures refer to something lost; zero: they do not
}

// damaged notes that a picture is lost.
func (k *keyframes) damaged(now time.Time) {
	if k.frozen.IsZero() {
		k.frozen = now
	}
}

// shows decides about a picture that is whole.
func (k *keyframes) shows(keyframe bool, now time.Time) bool {
	if keyframe {
		k.came, k.frozen = now, time.Time{}
		return true
	}
	if !k.frozen.IsZero() && now.Sub(k.frozen) > mostFrozen {
		k.frozen = time.Time{}
	}
	return k.frozen.IsZero()
}

// ask reports whether it is time to ask for a key frame. waiting means that nothing can be made of pictures without one.
func (k *keyframes) ask(waiting bool, now time.Time) bool {
	if !waiting && k.frozen.IsZero() && now.Sub(k.came) < keyframeEvery {
		return false
	}
	if !k.asked.IsZero() && now.Sub(k.asked) < keyframePause {
		return false
	}
	k.asked = now
	return true
}
