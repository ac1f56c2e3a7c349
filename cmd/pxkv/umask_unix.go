//go:build unix

package main

import "syscall"

// ownerOnly lets nobody but the owner read what this process creates: a data directory holds
// everything that clients have written.
func ownerOnly() { syscall.Umask(0o077) }
