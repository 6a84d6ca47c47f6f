// Package ts turns the segments of a rendition into MPEG-TS (ISO/IEC 13818-1), for HLS players that cannot do fragmented MP4:
// older televisions, set-top boxes, much that was built on ffmpeg 2.
//
// # A pure function
//
// A segment in MPEG-TS is a function of the stored segment, its init section and its number, and of nothing else. So it can be made when
// somebody asks, thrown away and made again, by another origin too, and its bytes are always the same. Two things of a transport stream
// seem to stand against that, for they run from segment to segment:
//
//   - Time stamps have 33 bits: they are the epoch, in units of 1/90000 s, modulo 2^33. They wrap every 26.5 hours, which players have always
//     had to expect.
//   - Continuity counters have 4 bits and count the packets of each PID. PAT and PMT are there once, at the head of a segment as
//     HLS asks (RFC 8216bis, section 3.1.1), so their counters are the segment's number modulo 16. Of picture and sound there is always a
//     multiple of sixteen packets, so each segment begins at 0: what is missing comes from spreading the content of one packet over
//     several (closeCounters), which costs 1.4 kB per PID on average.
//
// # What is in it
//
// H.264 as in Annex B, with an access unit delimiter in front of each picture and the parameter sets in front of each that can be
// decoded by itself; AAC in ADTS, some frames to a PES packet. The order is that of decoding. The library writes PCR with the
// pictures, or with the sound where there is none.
//
// These segments have no records: who cannot read MP4 does not verify either. Viewers that do get the fragmented MP4.
package ts
