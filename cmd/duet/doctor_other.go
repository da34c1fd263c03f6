//go:build !linux

package main

func hardwareCounters() finding {
	return finding{subject: "hardware counters", cure: "read on Linux alone"}
}
