package build

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// kept is one file beside the binary, as far as it is an input of the service.
type kept struct {
	name       string // slash-separated
	executable bool
	sha256     string // hex
}

// inputsSHA256 is a hash over all that a service is started with: the binary, the copied files, the
// arguments, the environment and the fixed port. Ready and Dir do not change what runs. Values passed by
// pass_env come from the caller and are the same at both sides; their names count.
func inputsSHA256(binarySHA256 string, files []kept, s plan.Service) string {
	h := sha256.New()
	put(h, "duet.inputs/1", binarySHA256)
	put(h, "files", strconv.Itoa(len(files)))
	for _, f := range files {
		put(h, f.name, strconv.FormatBool(f.executable), f.sha256)
	}
	put(h, "run", strconv.Itoa(len(s.Run)))
	put(h, s.Run...)
	put(h, "env", strconv.Itoa(len(s.Env)))
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		put(h, name, s.Env[name])
	}
	put(h, "pass_env", strconv.Itoa(len(s.PassEnv)))
	put(h, slices.Sorted(slices.Values(s.PassEnv))...)
	put(h, "port", strconv.Itoa(s.Port))
	return hex.EncodeToString(h.Sum(nil))
}

// put writes each text after its length, so that no two lists of texts are written alike.
func put(h hash.Hash, texts ...string) {
	for _, text := range texts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
}

// MarkIdentical returns the builds with IdenticalToBase set on each head build whose inputs are those of its
// base build, and with a note on each whose toolchain or build settings are others than base's.
// The builds handed in are left as they are.
func MarkIdentical(builds []result.Build) []result.Build {
	base := map[string]result.Build{}
	for _, b := range builds {
		if b.Variant.Side == plan.Base && b.Error == "" {
			base[b.Variant.Service] = b
		}
	}
	marked := slices.Clone(builds)
	for i, b := range marked {
		before, ok := base[b.Variant.Service]
		if b.Variant.Side != plan.Head || b.Error != "" || !ok {
			continue
		}
		marked[i].IdenticalToBase = b.InputsSHA256 != "" && b.InputsSHA256 == before.InputsSHA256
		if changed := differences(before, b); len(changed) > 0 {
			note := "build configuration differs from base: " + strings.Join(changed, ", ")
			if !slices.Contains(b.Notes, note) {
				marked[i].Notes = append(slices.Clone(b.Notes), note)
			}
		}
	}
	return marked
}

// differences names the settings in which two builds differ, sorted.
func differences(a, b result.Build) []string {
	var names []string
	if a.Toolchain != b.Toolchain {
		names = append(names, "toolchain")
	}
	for name, value := range a.Settings {
		if other, ok := b.Settings[name]; !ok || other != value {
			names = append(names, name)
		}
	}
	for name := range b.Settings {
		if _, ok := a.Settings[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
