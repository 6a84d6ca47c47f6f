package store

import "errors"

// The reasons why something is not stored or not returned. Errors wrap one of them and say which object it is about.
var (
	ErrUnknown   = errors.New("there is no record of this object")
	ErrNoList    = errors.New("a leaf cannot be checked before the leaf list is there")
	ErrDuplicate = errors.New("this is held already")
	ErrMissing   = errors.New("this is not held")
	ErrCollision = errors.New("another object has the same key; its bytes come from the CDN only")
	ErrBudget    = errors.New("this is larger than the whole store")

	ErrSize      = errors.New("this is not of the signed size")
	ErrBadList   = errors.New("this leaf list is not the object's")
	ErrBadLeaf   = errors.New("this leaf is not the object's")
	ErrBadObject = errors.New("these bytes are not the object's")
)

// Blame reports whether err proves that the sender of what was put sent something that the channel's owner did not
// sign. Honest neighbours verify before they pass on, so one such error is enough to drop a neighbour.
func Blame(err error) bool {
	return errors.Is(err, ErrSize) || errors.Is(err, ErrBadList) ||
		errors.Is(err, ErrBadLeaf) || errors.Is(err, ErrBadObject)
}
