package service

import (
	"strings"
	"time"
)

// Wrap is how a pass observes a service: the program it is started in, and what that asks of it. The zero Wrap is the
// timing pass: the service as it is.
type Wrap struct {
	Argv []string          // comes before the service's binary; empty: nothing
	Env  map[string]string // wins over the service's own
	// Patience multiplies the time that the service may take to be ready; 0: 1.
	Patience int
	// Kill ends the service with SIGKILL at once, where SIGTERM would be of no use.
	Kill bool
}

// readyAtMost bounds the patience with a wrapped service.
const readyAtMost = 90 * time.Second

func (w Wrap) ready(within time.Duration) time.Duration {
	if w.Patience <= 1 {
		return within
	}
	return max(within, min(within*time.Duration(w.Patience), readyAtMost))
}

// withSetting adds a setting to a variable that holds a list of them, like GODEBUG.
func withSetting(list, setting string) string {
	return strings.TrimPrefix(list+","+setting, ",")
}
