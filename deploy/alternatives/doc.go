// Package alternatives measures what is our own beside the libraries that could stand in its place:
// transport/http1 beside net/http and valyala/fasthttp, transport/jsontext beside encoding/json. It is a module of its own, so
// that no user of pxkv gets what is only compared with. Its figures, with the command, are in
// docs/performance.md.
package alternatives
