package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"pxkv/persist/crypt"
)

const (
	keyFileFlag = "encryption-key-file"
	// keyEnv has the key itself. There is no flag for it: who lists processes sees their flags.
	keyEnv = "PXKV_ENCRYPTION_KEY"
	// maxKeyFileBytes is far more than any key file has.
	maxKeyFileBytes = 64 << 10
)

// encryptionFlag says by which keys a data directory is encrypted: for every command that opens one.
type encryptionFlag struct{ file string }

func (f *encryptionFlag) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.file, keyFileFlag, "",
		"the data directory is encrypted: a file with the key, or keys, of which the first wraps data keys; the key "+
			"may be in the environment variable "+keyEnv+" instead")
}

// given reports whether there is a key.
func (f *encryptionFlag) given() bool { return f.file != "" || os.Getenv(keyEnv) != "" }

// check is an error of usage.
func (f *encryptionFlag) check() error {
	if f.file != "" && os.Getenv(keyEnv) != "" {
		return fmt.Errorf("--%s and the environment variable %s are both given: which is the key?", keyFileFlag, keyEnv)
	}
	return nil
}

// keys reads them, anew each time; none when none are given.
func (f *encryptionFlag) keys() ([]crypt.Key, error) {
	if text := os.Getenv(keyEnv); f.file == "" && text != "" {
		keys, err := crypt.ParseKeys(strings.ReplaceAll(text, ",", "\n"))
		if err != nil {
			return nil, fmt.Errorf("the key in %s: %w", keyEnv, err)
		}
		return keys, nil
	}
	if f.file == "" {
		return nil, nil
	}
	file, err := os.Open(f.file)
	if err != nil {
		return nil, fmt.Errorf("the key file of --%s: %w", keyFileFlag, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFileBytes+1))
	if err = errors.Join(err, file.Close()); err == nil && len(text) > maxKeyFileBytes {
		err = fmt.Errorf("it has more than %d bytes", maxKeyFileBytes)
	}
	var keys []crypt.Key
	if err == nil {
		keys, err = crypt.ParseKeys(string(text))
	}
	if err != nil {
		return nil, fmt.Errorf("the key file %s: %w", f.file, err)
	}
	return keys, nil
}

// warn says so when others may read the key file. Where a file is put for a process alone, as in a container, that
// can be all right, so it is no error.
func (f *encryptionFlag) warn(log *slog.Logger) {
	info, err := os.Stat(f.file)
	if f.file == "" || err != nil {
		return
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		log.Warn("others than its owner may read the key file: chmod 600", "file", f.file, "mode", mode.String())
	}
}
