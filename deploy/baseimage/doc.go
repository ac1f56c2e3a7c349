// Command baseimage makes sure that the image which deploy/Dockerfile builds on exists on
// this machine. It does nothing when the image is there, pulls it when a registry can be
// reached, and otherwise makes a stand-in of the same name from this machine's own Go
// toolchain, shell, module cache and build cache: enough to build pxkv without any network,
// and in seconds.
//
//	go run ./deploy/baseimage            # from the root of the repository
//
// A stand-in carries the label pxkv.baseimage=local, and so does everything built on it;
// `docker rmi golang:1.26-bookworm` removes it. The command needs Linux and the docker
// client. It must not touch images that it did not make.
package main
