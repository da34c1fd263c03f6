package service

import (
	"encoding/binary"
	"slices"

	"github.com/google/pprof/profile"
)

// The heap profiler counts every allocation, by stack, from the start of the process: objects and bytes allocated, and
// those still in use.

// heapWindow is what two dumps of one process say of the time between them: what was allocated, and what the second found
// in use.
func heapWindow(before, after *profile.Profile) (allocs, inUse *profile.Profile) {
	allocs, inUse = after.Copy(), after.Copy()
	earlier := map[string][2]int64{}
	for _, s := range before.Sample {
		key, v := stackKey(s), heapValues(s.Value)
		had := earlier[key]
		earlier[key] = [2]int64{had[0] + v[0], had[1] + v[1]}
	}
	for _, s := range allocs.Sample {
		key, v := stackKey(s), heapValues(s.Value)
		had := earlier[key]
		delete(earlier, key)
		s.Value = []int64{max(0, v[0]-had[0]), max(0, v[1]-had[1])}
		s.NumLabel, s.NumUnit = nil, nil // the mean size, which no longer holds
	}
	for _, s := range inUse.Sample {
		v := heapValues(s.Value)
		s.Value = []int64{v[2], v[3]}
		s.NumLabel, s.NumUnit = nil, nil
	}
	allocs.SampleType = []*profile.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}}
	inUse.SampleType = []*profile.ValueType{{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}}
	for _, p := range []*profile.Profile{allocs, inUse} {
		p.DefaultSampleType = p.SampleType[1].Type
		p.Sample = slices.DeleteFunc(p.Sample, func(s *profile.Sample) bool { return s.Value[0] == 0 && s.Value[1] == 0 })
	}
	return allocs, inUse
}

// heapValues are objects and bytes allocated, objects and bytes in use. A process that freed nothing yet has a dump of
// the latter alone.
func heapValues(v []int64) [4]int64 {
	switch len(v) {
	case 4:
		return [4]int64(v)
	case 2:
		return [4]int64{v[0], v[1], v[0], v[1]}
	}
	return [4]int64{}
}

// stackKey tells stacks of one process apart.
func stackKey(s *profile.Sample) string {
	key := make([]byte, 0, 8*len(s.Location))
	for _, l := range s.Location {
		key = binary.LittleEndian.AppendUint64(key, l.Address)
	}
	return string(key)
}
