//go:build race

package h1

func init() { raceDetector = true }
