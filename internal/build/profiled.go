package build

// Profiled is a binary of a variant to be profiled, never measured.
type Profiled struct {
	Binary string   // absolute; the measured binary itself where that can be profiled as it is
	Files  []string // as Built.Files
	Notes  []string // how it differs from the measured one
}
