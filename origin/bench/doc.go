// Package bench measures the origin as an HTTP server. It holds nothing but tests, so nothing of it ships. The measurements are
// commands of the test binary, each of which prints one JSON object with what it measured and the bars it is held to:
//
//	serve     the origin and nginx give the same files to the same clients, in turns (make bench-origin)
//	audience  a thousand viewers of a live rendition (make bench-origin)
//	signing   what signing and hashing of 20 renditions is of the origin's work (make bench-origin)
//	http3     HTTP/3 against HTTP/2 behind loss and delay (make bench-http3; root)
//
// The origin is a process of its own (command stage): the shipped store, server and web packages with real keys, and pseudo-random
// bytes for segments. Load and server share the machine, so both sides' CPU is reported. Times depend on the machine and on
// who else uses it; ratios of turns that follow each other are what to compare.
package bench
