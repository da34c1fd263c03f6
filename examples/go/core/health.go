package core

// Health is the answer to a health check.
type Health struct {
	Status string `json:"status"`
}

// Healthy is the state of a service that can answer at all.
func Healthy() Health { return Health{Status: "ok"} }
