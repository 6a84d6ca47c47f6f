package epoll

import "time"

// Patience is how long a message may wait for others to go with it: to write costs more than to decide what, and one write may carry
// many messages.
type Patience uint8

// How long a message may wait, unless Config says otherwise.
const (
	Briefly   Patience = iota // for what those who are at it have to add [5 ms]
	AWhile                    // for what will be acted on, but not in a hurry [500 ms]
	Long                      // for what nothing is done about before something else comes [2 s]
	patiences = iota
)

var usualPatience = [patiences]time.Duration{5 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}
