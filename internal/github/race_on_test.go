//go:build race

package github

// raceDetected says that the race detector watches, which makes every step ten times as slow.
const raceDetected = true
