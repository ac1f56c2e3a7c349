package transfer

import (
	"strconv"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// AppendLine appends an item as the line, with its end, that a node lists it as with meta=true.
func AppendLine(b []byte, it *kv.Item) []byte {
	w := jsontext.Writer{Buf: append(b, `{"key":`...)}
	w.Key(it.Key)
	w.Buf = append(w.Buf, `,"value":`...)
	w.Value(&it.Value)
	b = append(append(append(w.Buf, `,"type":"`...), it.Value.Type()...), '"')
	if it.Value.ContentType != "" {
		b = jsontext.AppendString(append(b, `,"content_type":`...), it.Value.ContentType)
	}
	b = strconv.AppendUint(append(b, `,"version":`...), it.Version, 10)
	b = append(appendMoment(append(b, `,"modified":"`...), it.Modified), '"')
	if it.Deadline != 0 {
		b = append(appendMoment(append(b, `,"expires":"`...), it.Deadline), '"')
	}
	return append(b, "}\n"...)
}

func appendMoment(b []byte, ms int64) []byte {
	return time.UnixMilli(min(ms, lastDeadline)).UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
}
