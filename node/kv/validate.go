package kv

// Validate checks what does not depend on any state: key and content type lengths, op,
// condition, kind and expiry. maxValue is the largest value in bytes.
func (c *Command) Validate(maxValue int) error {
	if err := ValidateKey(c.Key); err != nil {
		return err
	}
	if err := c.Cond.validate(c.Op); err != nil {
		return err
	}
	if n := c.Value.Length(); n > maxValue {
		return Errorf(TooLarge, "Value of %d bytes is larger than the limit of %d bytes", n, maxValue)
	}
	if !c.Value.WellPacked() || c.Value.Packing != NotPacked && c.Op != OpPut {
		return Errorf(Invalid, "packing %d of a value cannot be", c.Value.Packing)
	}
	if c.Expiry.Kind >= expiryKindLimit {
		return Errorf(Invalid, "unknown kind of expiry %d", c.Expiry.Kind)
	}
	switch c.Op {
	case OpPut:
		if c.Value.Kind < String || c.Value.Kind > Binary {
			return Errorf(Invalid, "unknown value kind %d", c.Value.Kind)
		}
		if len(c.Value.ContentType) > MaxContentTypeBytes {
			return Errorf(Invalid, "Content-Type is longer than %d bytes", MaxContentTypeBytes)
		}
	case OpIncrFloat:
		if _, ok := ParseFloat(c.Value.Data); !ok {
			return Errorf(Invalid, "increment is not a decimal number")
		}
	case OpSetRange:
		if c.Offset < 0 {
			return Errorf(Invalid, "offset %d is negative", c.Offset)
		}
	case OpRename:
		if err := ValidateKey(c.NewKey); err != nil {
			return err
		}
	case OpDelete, OpIncr, OpAppend, OpExpire, OpRead:
	default:
		return Errorf(Invalid, "unknown operation %d", c.Op)
	}
	return nil
}

// ValidateKey checks a key's length.
func ValidateKey(key []byte) error {
	if len(key) == 0 {
		return Errorf(Invalid, "Missing key")
	}
	if len(key) > MaxKeyBytes {
		return Errorf(Invalid, "Key of %d bytes is longer than the limit of %d bytes", len(key), MaxKeyBytes)
	}
	return nil
}
