//go:build !race

package github

const raceDetected = false
