// Package deploy holds what brings pxkv into production: the Dockerfile, and the proof that
// the containers of docker-compose.yml keep what they promise. The proof needs a Docker
// engine and four minutes, so it is behind the build tag containers; containers_test.sh runs
// it.
package deploy
