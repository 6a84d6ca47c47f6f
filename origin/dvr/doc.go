// Package dvr keeps hours of one rendition on disk, for viewers who go back in time.
//
// # Chapters
//
// A chapter is up to ChapterSegments segments that follow each other without a break, and a folder with them: the segments, their init section,
// and index.m3u8, a signed media playlist (package manifest). Each segment is appended to that playlist with its record when it is
// published. So what the origin reads after a restart is what any viewer can check, a folder can be served by any web server, and no format
// is known to us alone. A chapter begins anew with each run of the origin, each break and each new signing key.
//
// # Two playlists
//
// A record is some 300 bytes of text that hardly compress: with one for each segment, two hours would be 1.3 MB for each poll. The long
// playlist (Window, hls.Plain) therefore has none, and names the chapters instead: who wants to verify fetches the chapter that it plays, once, for
// chapters do not change. It says how much is kept at most (hls.TagKeeps): a viewer who came early reads it once and can go
// back further as time goes on. Playlists of the live window carry their records as ever.
//
// # Bounds
//
// In memory a segment takes 48 bytes: its root, start, duration and size. On disk the window is kept, and up to a minute and one
// chapter more: the oldest chapter goes first, and whole. When the disk is full chapters go, oldest first, until there is room: the
// live edge is worth more than the past.
//
// # Crashes
//
// A segment is written before its line in the playlist, nothing is flushed. After a crash a playlist is read up to its last whole entry, a
// segment of the wrong size counts as missing, and one of the right size is compared with its signed root before it is sent for the first
// time: nothing half-written is ever served.
package dvr
