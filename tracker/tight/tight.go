// Package tight has a list and an index that waste little: of either there is one for each viewer, or a place in one.
package tight

// step is by how many places a list grows. Append of the language doubles a short one: of a dozen neighbours' places, a
// quarter would stay empty with each of a hundred thousand viewers.
const step = 4

// Append adds one entry.
func Append[E any](list []E, entry E) []E {
	if len(list) == cap(list) {
		list = append(make([]E, 0, len(list)+step), list...)
	}
	return append(list, entry)
}
