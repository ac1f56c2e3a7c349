package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	image       = "golang:1.26-bookworm" // as in deploy/Dockerfile
	goVersion   = "go1.26"
	pullTimeout = 5 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "baseimage:", err)
		os.Exit(1)
	}
}

// run makes image exist, and says how on out.
func run(ctx context.Context, out io.Writer) error {
	if _, err := output(ctx, "docker", "image", "inspect", image); err == nil {
		fmt.Fprintf(out, "%s is here already\n", image)
		return nil
	}
	pulling, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	_, pullErr := output(pulling, "docker", "pull", "--quiet", image)
	if pullErr == nil {
		fmt.Fprintf(out, "%s was pulled\n", image)
		return nil
	}
	fmt.Fprintf(out, "%s cannot be pulled (%v); making a stand-in from this machine\n", image, pullErr)
	if err := importStandIn(ctx); err != nil {
		return fmt.Errorf("make a stand-in for %s: %w", image, err)
	}
	fmt.Fprintf(out, "%s was made from this machine's Go toolchain and module cache\n", image)
	return nil
}

// importStandIn streams the stand-in's files into `docker import`.
func importStandIn(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the toolchain of %s does not run in a Linux container; pull the image instead", runtime.GOOS)
	}
	modules, err := os.MkdirTemp("", "pxkv-modules-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(modules) }()
	from, err := gather(ctx, modules)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "docker", "import",
		"--change", "ENV PATH=/usr/local/go/bin:/usr/bin:/bin",
		"--change", "ENV GOPATH=/go",
		"--change", "ENV GOCACHE=/go/cache",
		"--change", "ENV GOTOOLCHAIN=local",
		"--change", "LABEL pxkv.baseimage=local",
		"-", image)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("docker import: %w", err)
	}
	writeErr := writeRootFS(ctx, in, from)
	if writeErr != nil {
		_ = cmd.Process.Kill() // a file system that is cut short must not become an image
	}
	closeErr := in.Close()
	waitErr := cmd.Wait()
	switch {
	case writeErr != nil:
		return writeErr
	case waitErr != nil:
		return fmt.Errorf("docker import: %w", waitErr)
	}
	return closeErr
}

// gather finds the files of a stand-in; the modules are brought together in an empty folder.
func gather(ctx context.Context, modules string) (sources, error) {
	text, err := output(ctx, "go", "env", "GOROOT", "GOVERSION", "GOCACHE", "GOMODCACHE", "GOPROXY")
	if err != nil {
		return sources{}, err
	}
	env := strings.Split(text, "\n")
	goRoot, version, goCache, goModCache, goProxy := env[0], env[1], env[2], env[3], env[4]
	if !strings.HasPrefix(version, goVersion) {
		return sources{}, fmt.Errorf("this machine has %s, want %s: install it, or pull the image", version, goVersion)
	}
	if err := gatherModules(ctx, modules, goModCache, goProxy); err != nil {
		return sources{}, err
	}
	files, err := compiled(ctx, goCache)
	return sources{goRoot: goRoot, modules: modules, goCache: goCache, compiled: files}, err
}

// gatherModules downloads what go.mod names into an empty module cache at dir, from this
// machine's module cache where it has them. Only the download part of a cache is kept: go
// unpacks it again in the container.
func gatherModules(ctx context.Context, dir, cache, proxy string) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "download")
	cmd.Env = append(os.Environ(), "GOMODCACHE="+dir, "GOFLAGS=-modcacherw",
		"GOPROXY=file://"+cache+"/cache/download,"+proxy)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod download: %w: %s", err, text)
	}
	return nil
}

// output runs a command and returns its standard output without the final newline; an error
// carries what it wrote to standard error.
func output(ctx context.Context, name string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(text)), nil
}
