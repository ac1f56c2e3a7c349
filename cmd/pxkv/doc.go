// Command pxkv is the whole product in one binary: `pxkv serve` is a node, and every
// other command is a client that speaks to a node over HTTP.
//
// main.go builds the root command and turns errors into exit codes. Each command has its
// file: serve.go composes a node out of the other packages; get.go, put.go and the rest
// only need client.go (the HTTP calls and what their failures mean for the user) and
// output.go (terminal, table or JSON). The load engine behind `pxkv bench` is package load.
//
// This is the only package that may import every other one. Nothing imports it.
package main
