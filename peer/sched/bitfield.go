package sched

// Bitfields are in BEP 3 order: leaf 0 is the high bit of the first byte.

func bitfieldLen(leaves int32) int { return int(leaves+7) / 8 }

func hasBit(bits []byte, i int32) bool { return bits[i>>3]&(0x80>>(i&7)) != 0 }

func setBit(bits []byte, i int32) { bits[i>>3] |= 0x80 >> (i & 7) }
