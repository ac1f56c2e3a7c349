package http1

import "net"

// settled is after how many reads a connection is taken for one that goes on. Until then each read
// is followed by another, which would see the end of a client that says all it has and closes.
const settled = 4

// plainArrivals is arrivals for every kind of connection.
func plainArrivals(c net.Conn, room func() []byte, got func(n int) bool) error {
	for {
		buf := room()
		if buf == nil {
			return nil
		}
		n, err := c.Read(buf)
		if n > 0 && !got(n) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
