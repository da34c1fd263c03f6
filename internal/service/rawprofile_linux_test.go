package service

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// words are little-endian, as perf and gperftools write them here.
func words(all ...uint64) (raw []byte) {
	for _, w := range all {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return raw
}

// record is a record of perf.data.
func record(kind uint32, misc uint16, body []byte) []byte {
	raw := binary.LittleEndian.AppendUint32(nil, kind)
	raw = binary.LittleEndian.AppendUint16(raw, misc)
	raw = binary.LittleEndian.AppendUint16(raw, uint16(8+len(body)))
	return append(raw, body...)
}

const (
	testPID    = 7
	testFields = sampleIP | sampleTID | sampleTime | sampleCallchain | sampleID | samplePeriod
)

func perfSample(period uint64, chain ...uint64) []byte {
	body := words(chain[len(chain)-1], testPID|8<<32, 1, 2, period, uint64(len(chain)))
	return record(recordSample, 2, append(body, words(chain...)...))
}

func perfMmap(start, length uint64, name string) []byte {
	body := words(testPID|7<<32, start, length, 0x1000, 0, 0, 0, 5)
	return record(recordMmap2, 2, append(body, append([]byte(name), make([]byte, 8)...)...))
}

// perfFile is a perf.data of those records and of two events, the second being perf's own.
func perfFile(records ...[]byte) []byte {
	const attr = 144
	data := bytes.Join(records, nil)
	header := append([]byte(perfMagic), words(104, attr, 104, 2*attr, 104+2*attr, uint64(len(data)), 0, 0, 0, 0, 0, 0)...)
	clock, dummy := make([]byte, attr), make([]byte, attr)
	copy(clock, words(1|128<<32, 0, 999, testFields))
	copy(dummy, words(1|128<<32, 9, 999, testFields))
	return append(append(append(header, clock...), dummy...), data...)
}

func testPerf() []byte {
	return perfFile(
		record(recordMmap, miscKernel, words(1<<32-1, 0xffffffff81000000, 1<<20, 0, 0)),
		perfMmap(0x400000, 0x1000, "/box/old"),
		perfMmap(0x400000, 0x2000, "/box/service"),
		perfSample(1_001_001, contextUser, 0x400100, 0x400201),
		perfSample(1_001_001, contextUser, 0x400100, 0x400201),
		perfSample(1_001_001, contextKernel, 0xffffffff81000100, 0xffffffff81000200, contextUser, 0x400301),
		perfSample(1_001_001, contextUser, 0x900000),
		record(recordLost, 0, words(1, 3)),
		record(99, 0, nil),
	)
}

const contextUser = ^uint64(511) // -512

func TestPerfData(t *testing.T) {
	p, lost, err := parsePerf(testPerf())
	check(t, err)
	check(t, p.CheckValid())
	if lost != 3 {
		t.Errorf("got %d samples lost, want 3", lost)
	}
	newSymboliser("/box/service").name(context.Background(), p)
	var got []string
	for _, s := range p.Sample {
		text := fmt.Sprint(s.Value[0], " ", s.Value[1])
		for _, l := range s.Location {
			text += fmt.Sprintf(" %s+%#x", l.Line[0].Function.Name, l.Address)
		}
		got = append(got, text)
	}
	want := `1 1001001 [unknown]+0x900000
1 1001001 [kernel]+0x0 [service]+0x400300
2 2002002 [service]+0x400100 [service]+0x400200`
	for _, line := range strings.Split(want, "\n") {
		if !strings.Contains(strings.Join(got, "\n")+"\n", line+"\n") {
			t.Errorf("got\n%s\nwant %s", strings.Join(got, "\n"), line)
		}
	}
	if len(got) != 3 {
		t.Errorf("got %d stacks, want 3", len(got))
	}
}

func TestPerfDataRefused(t *testing.T) {
	whole := testPerf()
	other := bytes.Clone(whole)
	other[104+16+8] |= sampleRead // the attributes' sample_type, whose order is not known with it
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":          {nil, "not one of this machine's"},
		"another file":   {[]byte(strings.Repeat("x", 200)), "not one of this machine's"},
		"another header": {append(append([]byte{}, whole[:16]...), bytes.Repeat([]byte{255}, 200)...), "leads out of the file"},
		"other fields":   {other, "samples with the fields"},
		"a long record":  {perfFile([]byte{9, 0, 0, 0, 2, 0, 255, 0, 0, 0, 0, 0}), "a record of 255 bytes"},
		"a long chain":   {perfFile(record(recordSample, 2, words(1, 2, 3, 4, 5, 1<<60))), "ends before its call chain"},
	} {
		if _, _, err := parsePerf(c.raw); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func FuzzPerfData(f *testing.F) {
	f.Add(testPerf())
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, _, err := parsePerf(raw)
		if err != nil {
			return
		}
		newSymboliser("/nowhere/service").name(context.Background(), p)
		if _, err := encoded(p); err != nil {
			t.Errorf("read, but not written: %v", err)
		}
	})
}

const testMaps = "00400000-00402000 r-xp 00001000 00:00 0          /box/service\n"

func testHeap(lines string) []byte {
	return []byte("heap profile:      3:     3000 [    10:    10000] @ heapprofile\n" + lines + "\nMAPPED_LIBRARIES:\n" + testMaps)
}

func testCPU() []byte {
	raw := words(0, 3, 0, 4000, 0)
	raw = append(raw, words(5, 2, 0x400100, 0x400201)...)
	return append(append(raw, words(0, 1, 0)...), testMaps...)
}

func TestHeapWindow(t *testing.T) {
	before, err := parseRaw(testHeap("  1: 1000 [ 2: 2000] @ 0x400101 0x400201\n  1: 1000 [ 1: 1000] @ 0x400301"))
	check(t, err)
	after, err := parseRaw(testHeap("  1: 1000 [ 6: 7000] @ 0x400101 0x400201\n  1: 1000 [ 1: 1000] @ 0x400301\n  0: 0 [ 3: 2000] @ 0x400401"))
	check(t, err)
	allocs, inUse := heapWindow(before, after)
	sums := func(p *profile.Profile) (all []string) {
		for _, s := range p.Sample {
			all = append(all, fmt.Sprintf("%#x:%v", s.Location[0].Address, s.Value))
		}
		return all
	}
	if got := fmt.Sprint(sums(allocs)); got != "[0x400100:[4 5000] 0x400400:[3 2000]]" {
		t.Errorf("allocated: got %s", got)
	}
	if got := fmt.Sprint(sums(inUse)); got != "[0x400100:[1 1000] 0x400300:[1 1000]]" {
		t.Errorf("in use: got %s", got)
	}
	if allocs.SampleType[1].Type != "alloc_space" || inUse.SampleType[1].Type != "inuse_space" {
		t.Errorf("got %v and %v", allocs.SampleType, inUse.SampleType)
	}
}

func TestRawRefused(t *testing.T) {
	compressed := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}
	for name, raw := range map[string][]byte{
		"nothing": nil, "compressed": compressed, "text": []byte("hello"), "half a heap": []byte("heap profile: 1: 2 [3: 4] @"),
		"a negative count": testHeap("  -1: -1000 [ -2: -2000] @ 0x400101"),
	} {
		if p, err := parseRaw(raw); err == nil {
			t.Errorf("%s: got %v, want an error", name, p)
		}
	}
}

func FuzzRaw(f *testing.F) {
	f.Add(testCPU())
	f.Add(testHeap("  1: 1000 [ 6: 7000] @ 0x400101 0x400201\n  0: 0 [ 3: 2000] @ 0x400401"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parseRaw(raw)
		if err != nil {
			return
		}
		if bytes.HasPrefix(raw, []byte("heap")) {
			_, p = heapWindow(p, p)
		}
		newSymboliser("/nowhere/service").name(context.Background(), p)
		if _, err := encoded(p); err != nil {
			t.Errorf("read, but not written: %v", err)
		}
	})
}
