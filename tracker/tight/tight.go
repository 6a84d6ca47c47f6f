// Package tight has a list and an index that waste little: of either there is one for each viewer, or a place in one.
package tight

// A list begins with first places, about as many as a viewer has neighbours, and then grows by step. Append of the language begins with one and
// doubles: a quarter would stay empty with each of a hundred thousand viewers. And it, or a smaller step, leaves some lists among
// the many objects of 64 bytes that live for a moment, where one that stays keeps a page of 8 KiB.
const first, step = 12, 8

// Append adds one entry.
func Append[E any](list []E, entry E) []E {
	if len(list) == cap(list) {
		list = append(make([]E, 0, max(len(list)+step, first)), list...)
	}
	return append(list, entry)
}
