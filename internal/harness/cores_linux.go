package harness

import "golang.org/x/sys/unix"

// allowedCores are the cores this process may use, ascending.
func allowedCores() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var list []int
	for cpu := range 8 * 128 { // the size of unix.CPUSet
		if set.IsSet(cpu) {
			list = append(list, cpu)
		}
	}
	return list
}
