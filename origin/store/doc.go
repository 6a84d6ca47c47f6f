// Package store holds the live window of one channel and is where a segment becomes part of the channel's history.
//
// # Publishing
//
// Publish takes a cut segment, hashes it, signs its record, writes that record to disk as the rendition's
// head, and only then lets anybody see the segment. The order is the point: whatever a viewer has ever
// seen under a number, the disk knew first. After a crash at any moment the origin goes on strictly above the
// head that it finds, so it never signs two contents for one number, and chains the next record to
// it. A head may have been written and never shown; that costs one number and contradicts nobody.
//
// # Keeping
//
// Segments live in memory. The playlist lists the window; segments that have left it are kept for as long again, because a
// viewer may still act on a playlist that it fetched a moment ago (RFC 8216 section 6.2.2). Both time and bytes are bounded.
//
// With a DVR window (package dvr) each segment is written to disk too, between its head and its appearance, and what is not in memory any more is
// read from there. That a segment cannot be kept is no reason not to publish it, and where the disk is full the past makes room for
// heads.
package store
