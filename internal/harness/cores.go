package harness

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/workload"
)

// cores is who runs where: the services share one core, the load generator spins on another one.
// Both are empty where there are not two: then nothing is pinned and the client does not spin.
type cores struct {
	service, client []int
	allowed         []int // all that Duet may use
}

// chooseCores takes the first allowed core for the services and the last one that is not its hardware
// sibling for the client: two threads of one core would steal from each other.
func chooseCores(allowed []int, siblings func(cpu int) []int) cores {
	if len(allowed) < 2 {
		return cores{allowed: allowed}
	}
	service := allowed[0]
	for _, client := range slices.Backward(allowed[1:]) {
		if !slices.Contains(siblings(service), client) {
			return cores{service: []int{service}, client: []int{client}, allowed: allowed}
		}
	}
	return cores{allowed: allowed}
}

// AllowedCores are those that this process may use, ascending; empty where that is not known.
func AllowedCores() []int { return allowedCores() }

// PinnedCores are the cores that a run on this machine holds services and load generator to; not ok where there are not
// two that share no hardware.
func PinnedCores() (service, client int, ok bool) {
	c := chooseCores(allowedCores(), siblingsFromSysfs)
	if len(c.service) == 0 {
		return 0, 0, false
	}
	return c.service[0], c.client[0], true
}

// pinned says whether a workload's services are held to one core.
func (c cores) pinned(w workload.Workload) bool {
	return len(c.service) > 0 && w.Cores != workload.CoresAll
}

// watched are the cores on which nobody else should be while a workload is measured.
func (c cores) watched(w workload.Workload) []int {
	if !c.pinned(w) {
		return nil
	}
	return append(append([]int{}, c.service...), c.client...)
}

// siblingsFromSysfs reads which hardware threads share a core with cpu, itself included.
func siblingsFromSysfs(cpu int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu))
	if err != nil {
		return []int{cpu}
	}
	list, err := parseCPUList(strings.TrimSpace(string(text)))
	if err != nil {
		return []int{cpu}
	}
	return list
}

// parseCPUList reads the kernel's list format: "0,4-6".
func parseCPUList(text string) ([]int, error) {
	var list []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		low, err := strconv.Atoi(first)
		if err != nil {
			return nil, fmt.Errorf("unexpected cpu list %q", text)
		}
		high, err := strconv.Atoi(last)
		if err != nil || high < low || high-low > 4096 {
			return nil, fmt.Errorf("unexpected cpu list %q", text)
		}
		for cpu := low; cpu <= high; cpu++ {
			list = append(list, cpu)
		}
	}
	return list, nil
}

func cpuListText(list []int) string {
	words := make([]string, len(list))
	for i, cpu := range list {
		words[i] = strconv.Itoa(cpu)
	}
	return strings.Join(words, ",")
}
