package ring

import "bytes"

// Slots is the number of slots, the same as in Redis Cluster.
const Slots = 16384

// SlotOf returns the slot of key, from 0 to Slots-1. It is exactly Redis Cluster's key
// slot, so that any Redis Cluster client routes a key straight to the right node: the
// CRC16 of the key, or of its hash tag alone when it has one, modulo Slots. It does not
// allocate.
func SlotOf(key []byte) int {
	return int(crc16(hashTag(key))) % Slots
}

// hashTag returns the part of key that decides its slot: what stands between the first '{'
// and the first '}' after it, or the whole key when there is no such pair or nothing
// between them.
func hashTag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	tag := key[open+1:]
	end := bytes.IndexByte(tag, '}')
	if end <= 0 {
		return key
	}
	return tag[:end]
}

// crcTable holds the CRC of every single byte. It is never written after start.
var crcTable = makeCRCTable(0x1021)

func makeCRCTable(poly uint16) (table [256]uint16) {
	for b := range table {
		crc := uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= poly
			}
		}
		table[b] = crc
	}
	return table
}

// crc16 is CRC-16/XMODEM: polynomial 0x1021, initial value 0, nothing reflected, no final
// XOR. The Redis Cluster specification, "Keys distribution model", names it.
func crc16(data []byte) uint16 {
	var crc uint16
	for _, b := range data {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^b]
	}
	return crc
}
