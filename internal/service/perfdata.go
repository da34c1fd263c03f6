package service

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// perf.data: a header, the events' settings, and records as the kernel wrote them (linux/perf_event.h, and
// tools/perf/Documentation/perf.data-file-format.txt of its sources).
const (
	perfMagic      = "PERFILE2"
	recordMmap     = 1
	recordLost     = 2
	recordSample   = 9
	recordMmap2    = 10
	miscKernel     = 1 // of a record's misc, by miscMode
	miscMode       = 7
	miscData       = 1 << 13 // a mapping without code
	contextFirst   = ^uint64(0) - 4094
	contextKernel  = ^uint64(127) // -128
	kernelFunction = "[kernel]"
	perfHertz      = 999 // the kernel's timers are finer than its tick: not bound to 250
)

// The fields of a sample, in the order in which they come.
const (
	sampleIP         = 1 << 0
	sampleTID        = 1 << 1
	sampleTime       = 1 << 2
	sampleAddr       = 1 << 3
	sampleRead       = 1 << 4
	sampleCallchain  = 1 << 5
	sampleID         = 1 << 6
	sampleCPU        = 1 << 7
	samplePeriod     = 1 << 8
	sampleStreamID   = 1 << 9
	sampleIdentifier = 1 << 16
)

// perfData is what a perf.data says.
type perfData struct {
	order  binary.ByteOrder
	fields uint64 // of a sample
	maps   map[uint32][]*profile.Mapping
	stacks map[string]*perfStack
	lost   uint64
}

type perfStack struct {
	pid   uint32
	chain []uint64
	count int64
	spent int64 // nanoseconds
}

// parsePerf reads a perf.data of one kind of event, cpu-clock, with call chains. Names in it come from foreign code.
func parsePerf(raw []byte) (p *profile.Profile, lost uint64, err error) {
	d := perfData{order: binary.LittleEndian, maps: map[uint32][]*profile.Mapping{}, stacks: map[string]*perfStack{}}
	records, err := d.header(raw)
	if err != nil {
		return nil, 0, fmt.Errorf("reading perf.data: %w", err)
	}
	for len(records) >= 8 {
		kind, misc, size := d.order.Uint32(records), d.order.Uint16(records[4:]), int(d.order.Uint16(records[6:]))
		if size < 8 || size > len(records) {
			return nil, 0, fmt.Errorf("reading perf.data: a record of %d bytes, %d are left", size, len(records))
		}
		if err := d.record(kind, misc, records[8:size]); err != nil {
			return nil, 0, fmt.Errorf("reading perf.data: %w", err)
		}
		records = records[size:]
	}
	p = d.profile()
	if err := checkRaw(p); err != nil {
		return nil, 0, fmt.Errorf("reading perf.data: %w", err)
	}
	return p, d.lost, nil
}

// header reads what a sample is made of, and yields the records.
func (d *perfData) header(raw []byte) ([]byte, error) {
	const size = 72 // up to the data's size
	if len(raw) < size || !strings.HasPrefix(string(raw[:8]), perfMagic) {
		return nil, errors.New("it is not one of this machine's")
	}
	word := func(at int) uint64 { return d.order.Uint64(raw[at:]) }
	attr, attrs, attrBytes, data, dataBytes := word(16), word(24), word(32), word(40), word(48)
	length := uint64(len(raw))
	if attr < 64 || attr > 1024 || attrs > length || attrBytes > length-attrs || data > length {
		return nil, errors.New("its header leads out of the file")
	}
	for at := attrs; at+attr <= attrs+attrBytes; at += attr {
		const software, cpuClock = 1, 0
		kind, config := d.order.Uint32(raw[at:]), word(int(at)+8)
		if kind == software && config == cpuClock {
			d.fields = word(int(at) + 24)
		}
	}
	if d.fields&(sampleIP|sampleTID|sampleCallchain) != sampleIP|sampleTID|sampleCallchain || d.fields&sampleRead != 0 {
		return nil, fmt.Errorf("samples with the fields %#x: expected addresses, processes and call chains", d.fields)
	}
	if dataBytes == 0 || dataBytes > length-data { // perf was cut short
		dataBytes = length - data
	}
	return raw[data : data+dataBytes], nil
}

func (d *perfData) record(kind uint32, misc uint16, body []byte) error {
	switch kind {
	case recordMmap, recordMmap2:
		if misc&miscMode != miscKernel && misc&miscData == 0 {
			d.mmap(kind, body)
		}
	case recordLost:
		if len(body) >= 16 {
			d.lost += d.order.Uint64(body[8:])
		}
	case recordSample:
		return d.sample(body)
	}
	return nil
}

// mmap keeps a mapping of code: pid, tid, address, length, offset and, after 24 bytes in the newer kind of record, a name.
func (d *perfData) mmap(kind uint32, body []byte) {
	name := 32
	if kind == recordMmap2 {
		name += 32
	}
	if len(body) <= name {
		return
	}
	pid := d.order.Uint32(body)
	start, length, offset := d.order.Uint64(body[8:]), d.order.Uint64(body[16:]), d.order.Uint64(body[24:])
	text, _, _ := bytes.Cut(body[name:], []byte{0})
	if start+length <= start || len(d.maps[pid]) == placesLimit {
		return
	}
	d.maps[pid] = append(d.maps[pid], &profile.Mapping{Start: start, Limit: start + length, Offset: offset, File: string(text)})
}

func (d *perfData) sample(body []byte) error {
	short := errors.New("a sample ends before its call chain does")
	skip := 0
	for _, field := range []uint64{sampleIdentifier, sampleIP} {
		if d.fields&field != 0 {
			skip += 8
		}
	}
	if len(body) < skip+8 {
		return short
	}
	pid := d.order.Uint32(body[skip:])
	skip += 8
	for _, field := range []uint64{sampleTime, sampleAddr, sampleID, sampleStreamID, sampleCPU} {
		if d.fields&field != 0 {
			skip += 8
		}
	}
	period := uint64(0)
	if d.fields&samplePeriod != 0 && len(body) >= skip+8 {
		period = d.order.Uint64(body[skip:])
		skip += 8
	}
	if len(body) < skip+8 {
		return short
	}
	depth := d.order.Uint64(body[skip:])
	if body = body[skip+8:]; depth > uint64(len(body)/8) {
		return short
	}
	return d.count(pid, body[:8*depth], period)
}

func (d *perfData) count(pid uint32, chain []byte, period uint64) error {
	key := string(binary.LittleEndian.AppendUint32(nil, pid)) + string(chain)
	s := d.stacks[key]
	if s == nil {
		if len(d.stacks) == stacksLimit {
			return fmt.Errorf("more than %d stacks", stacksLimit)
		}
		s = &perfStack{pid: pid}
		for ; len(chain) > 0; chain = chain[8:] {
			s.chain = append(s.chain, d.order.Uint64(chain))
		}
		d.stacks[key] = s
	}
	s.count++
	const mostPeriod = 1e9 // a second: at 999 Hz no sample stands for more
	s.spent += int64(min(period, mostPeriod))
	return nil
}

// profile makes a profile of what was read, without names but that of the kernel.
func (d *perfData) profile() *profile.Profile {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Period:     1_000_000_000 / perfHertz,
	}
	places := perfPlaces{p: p, known: map[perfPlace]*profile.Location{}}
	keys := make([]string, 0, len(d.stacks))
	for key := range d.stacks {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		s := d.stacks[key]
		if stack := places.stack(s.chain, d.maps[s.pid]); len(stack) > 0 {
			p.Sample = append(p.Sample, &profile.Sample{Location: stack, Value: []int64{s.count, s.spent}})
		}
	}
	return p
}

// perfPlaces makes each place on stacks once.
type perfPlaces struct {
	p     *profile.Profile
	known map[perfPlace]*profile.Location
}

type perfPlace struct {
	mapping *profile.Mapping
	address uint64
}

// stack are the places of a call chain, the innermost first. All of the kernel is one of them.
func (all *perfPlaces) stack(chain []uint64, maps []*profile.Mapping) (stack []*profile.Location) {
	kernel := false
	for _, address := range chain {
		if address >= contextFirst {
			kernel = address == contextKernel
			if kernel && len(stack) == 0 {
				stack = append(stack, all.place(perfPlace{}))
			}
			continue
		}
		if kernel || address == 0 {
			continue
		}
		if len(stack) > 0 {
			address-- // a return address: the call is before it
		}
		at := perfPlace{address: address}
		for i := len(maps) - 1; i >= 0; i-- { // the newest holds
			if m := maps[i]; m.Start <= address && address < m.Limit {
				at.mapping = m
				break
			}
		}
		stack = append(stack, all.place(at))
	}
	return stack
}

func (all *perfPlaces) place(at perfPlace) *profile.Location {
	if l := all.known[at]; l != nil {
		return l
	}
	l := &profile.Location{ID: uint64(len(all.p.Location) + 1), Address: at.address, Mapping: at.mapping}
	if at == (perfPlace{}) {
		l.Mapping = &profile.Mapping{File: kernelFunction}
	}
	if m := l.Mapping; m != nil && m.ID == 0 {
		m.ID = uint64(len(all.p.Mapping) + 1)
		all.p.Mapping = append(all.p.Mapping, m)
	}
	all.known[at] = l
	all.p.Location = append(all.p.Location, l)
	return l
}
