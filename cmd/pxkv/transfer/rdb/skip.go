package rdb

import "fmt"

// The types of values, with how they are encoded.
const (
	codeString = 0
	// of single elements
	codeList    = 1
	codeSet     = 2
	codeZSet    = 3 // scores are text
	codeHash    = 4
	codeZSet2   = 5 // scores are 8 bytes
	codeModule2 = 7
	// one string, unless they say otherwise
	codeZipmap        = 9
	codeListZiplist   = 10
	codeIntset        = 11
	codeZSetZiplist   = 12
	codeHashZiplist   = 13
	codeQuicklist     = 14 // a string a node
	codeStream        = 15
	codeHashListpack  = 16
	codeZSetListpack  = 17
	codeQuicklist2    = 18 // a kind and a string a node
	codeStream2       = 19
	codeSetListpack   = 20
	codeStream3       = 21
	codeHashFieldsOld = 22 // fields with deadlines, before they were released; in Valkey as released there
	codeHashPackOld   = 23
	codeHashFields    = 24
	codeHashPack      = 25
)

// typeOf tells the type of a value; false when it is not known.
func (r *Reader) typeOf(code byte) (Type, bool) {
	switch code {
	case codeString:
		return String, true
	case codeList, codeListZiplist, codeQuicklist, codeQuicklist2:
		return List, true
	case codeSet, codeIntset, codeSetListpack:
		return Set, true
	case codeZSet, codeZSet2, codeZSetZiplist, codeZSetListpack:
		return SortedSet, true
	case codeHash, codeZipmap, codeHashZiplist, codeHashListpack, codeHashFieldsOld:
		return Hash, true
	case codeHashPackOld, codeHashFields, codeHashPack:
		return Hash, !r.valkey
	case codeStream, codeStream2, codeStream3:
		return Stream, true
	case codeModule2:
		return Module, true
	}
	return 0, false
}

// skipValue takes a value that is no string.
func (r *Reader) skipValue(code byte) error {
	switch code {
	case codeList, codeSet, codeQuicklist:
		return r.skipEach(r.skipString)
	case codeHash:
		return r.skipEach(r.skipString, r.skipString)
	case codeZSet:
		return r.skipEach(r.skipString, r.skipScore)
	case codeZSet2:
		return r.skipEach(r.skipString, r.skip8)
	case codeQuicklist2:
		return r.skipEach(r.skipLength, r.skipString)
	case codeHashFieldsOld:
		if r.valkey {
			return r.skipEach(r.skipString, r.skipString, r.skip8)
		}
		return r.skipEach(r.skipLength, r.skipString, r.skipString)
	case codeHashFields:
		if err := r.skip8(); err != nil {
			return err
		}
		return r.skipEach(r.skipLength, r.skipString, r.skipString)
	case codeHashPack:
		if err := r.skip8(); err != nil {
			return err
		}
	case codeStream, codeStream2, codeStream3:
		return r.skipStream(code)
	case codeModule2:
		if err := r.skipLength(); err != nil { // which module
			return err
		}
		return r.skipModule()
	}
	return r.skipString()
}

// skipEach takes a number, and so many times what the parts take.
func (r *Reader) skipEach(parts ...func() error) error {
	n, err := r.length()
	if err != nil {
		return err
	}
	for range n {
		for _, part := range parts {
			if err := part(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Reader) skipLength() error { return r.skipLengths(1) }

func (r *Reader) skip8() error { return r.skip(8) }

func (r *Reader) skip16() error { return r.skip(16) }

// skipScore takes a number that is text, or one of three that are not numbers.
func (r *Reader) skipScore() error {
	n, err := r.byte()
	if err != nil || n >= 253 {
		return err
	}
	return r.skip(uint64(n))
}

// skipStream takes a stream: its entries, its marks, and its groups with what they were given.
func (r *Reader) skipStream(code byte) error {
	if err := r.skipEach(r.skipString, r.skipString); err != nil {
		return err
	}
	marks := 3 // the number of entries, and the last id in two parts
	if code >= codeStream2 {
		marks = 8 // the first id, the highest deleted one, and how many were ever added
	}
	if err := r.skipLengths(marks); err != nil {
		return err
	}
	return r.skipEach(r.skipString, func() error {
		marks := 2
		if code >= codeStream2 {
			marks = 3
		}
		if err := r.skipLengths(marks); err != nil {
			return err
		}
		if err := r.skipEach(r.skip16, r.skip8, r.skipLength); err != nil {
			return err
		}
		return r.skipEach(r.skipString, func() error {
			seen := uint64(8)
			if code >= codeStream3 {
				seen = 16
			}
			if err := r.skip(seen); err != nil {
				return err
			}
			return r.skipEach(r.skip16)
		})
	})
}

// skipModule takes what a module has written: parts that each say what they are, and an end.
func (r *Reader) skipModule() error {
	for {
		part, err := r.length()
		if err != nil {
			return err
		}
		switch part {
		case 0:
			return nil
		case 1, 2:
			err = r.skipLength()
		case 3:
			err = r.skip(4)
		case 4:
			err = r.skip8()
		case 5:
			err = r.skipString()
		default:
			err = fmt.Errorf("%w: a module has written a part of the unknown kind %d", ErrFormat, part)
		}
		if err != nil {
			return err
		}
	}
}

// skipOldFunction takes a library of functions as the first candidates of Redis 7.0 wrote it.
func (r *Reader) skipOldFunction() error {
	if err := r.skipStrings(2); err != nil {
		return err
	}
	described, err := r.length()
	if err != nil {
		return err
	}
	return r.skipStrings(1 + min(described, 1))
}

// skipSlotImport takes the state of slots that are on their way between nodes of Valkey.
func (r *Reader) skipSlotImport() error {
	if !r.valkey {
		return fmt.Errorf("%w: it has the unknown part %d", ErrFormat, opSlotImport)
	}
	if err := r.skipString(); err != nil {
		return err
	}
	return r.skipEach(r.skipLength, r.skipLength)
}
