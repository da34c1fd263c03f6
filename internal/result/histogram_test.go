package result

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

func histogramOf(durations ...time.Duration) Histogram {
	var h Histogram
	for _, d := range durations {
		h.Record(d)
	}
	return h
}

func checkAt(t *testing.T, name string, h Histogram, percentile float64, want time.Duration) {
	t.Helper()
	got, ok := h.At(percentile)
	if !ok || math.Abs(got-want.Seconds()) > want.Seconds()/1000+100e-9 {
		t.Errorf("%s: p%v is %v s, %v, want %v to three figures", name, percentile, got, ok, want)
	}
}

func TestHistogramAt(t *testing.T) {
	var h Histogram
	for i := range 1000 {
		h.Record(time.Duration(i+1) * 10 * time.Microsecond)
	}
	if h.Count() != 1000 {
		t.Errorf("count is %d, want 1000", h.Count())
	}
	checkAt(t, "1 to 1000", h, 0, 10*time.Microsecond)
	checkAt(t, "1 to 1000", h, 50, 5*time.Millisecond)
	checkAt(t, "1 to 1000", h, 99.9, 9990*time.Microsecond)
	checkAt(t, "1 to 1000", h, 100, 10*time.Millisecond)
}

// Durations out of bounds count at the bounds, never as nothing.
func TestHistogramClamps(t *testing.T) {
	checkAt(t, "below", histogramOf(-time.Second, math.MinInt64), 100, 0)
	checkAt(t, "above", histogramOf(time.Hour, math.MaxInt64), 0, time.Minute)
	if n := histogramOf(-1, 0, 1, time.Minute, time.Minute+1, math.MaxInt64).Count(); n != 6 {
		t.Errorf("6 durations count as %d", n)
	}
}

func TestHistogramEmpty(t *testing.T) {
	var empty Histogram
	if seconds, ok := empty.At(50); ok || seconds != 0 || empty.Count() != 0 {
		t.Errorf("p50 of nothing is %v, %v", seconds, ok)
	}
	empty.Reset()
	empty.Add(Histogram{})
	text, err := json.Marshal(empty)
	if err != nil || string(text) != `""` {
		t.Errorf("empty histogram is written as %s, %v", text, err)
	}
	back := histogramOf(time.Second)
	if err := json.Unmarshal(text, &back); err != nil || back.Count() != 0 {
		t.Errorf("empty histogram is read with %d durations, %v", back.Count(), err)
	}

	h := histogramOf(time.Second)
	h.Reset()
	if text, err := json.Marshal(h); err != nil || string(text) != `""` {
		t.Errorf("histogram after Reset is written as %s, %v", text, err)
	}
	h.Record(time.Millisecond)
	checkAt(t, "after Reset", h, 100, time.Millisecond)
}

func TestHistogramAdd(t *testing.T) {
	a, b := histogramOf(time.Millisecond, 2*time.Millisecond), histogramOf(3*time.Millisecond, time.Hour)
	var sum Histogram
	sum.Add(a)
	sum.Add(Histogram{})
	sum.Add(b)
	if sum.Count() != 4 || a.Count() != 2 || b.Count() != 2 {
		t.Errorf("2 and 2 durations are %d; the parts have %d and %d", sum.Count(), a.Count(), b.Count())
	}
	checkAt(t, "sum", sum, 0, time.Millisecond)
	checkAt(t, "sum", sum, 75, 3*time.Millisecond)
	checkAt(t, "sum", sum, 100, time.Minute)
	sum.Reset()
	if a.Count() != 2 {
		t.Error("the sum shares memory with its first part")
	}
}

func TestHistogramJSON(t *testing.T) {
	h := histogramOf(0, 1500*time.Nanosecond, time.Millisecond, time.Millisecond, 59*time.Second, time.Hour)
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back Histogram
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !back.hdr.Equals(h.hdr) {
		t.Errorf("the histogram that was read differs from the one written: %s", text)
	}
	back.Add(h)
	back.Record(time.Second)
	if back.Count() != 2*h.Count()+1 {
		t.Errorf("a histogram that was read takes no more: %d durations", back.Count())
	}

	// The fullest histogram there can be is read, too.
	var full Histogram
	for d := time.Duration(0); d < histogramMax; d += max(histogramUnit, d/2048) {
		for range 1 + d%7 {
			full.Record(d)
		}
	}
	if text, err = json.Marshal(full); err == nil {
		err = json.Unmarshal(text, &back)
	}
	if err != nil || !back.hdr.Equals(full.hdr) {
		t.Errorf("reading a full histogram: %v", err)
	}
}

func TestHistogramRefuses(t *testing.T) {
	check := func(name, encoded string) {
		t.Helper()
		var h Histogram
		if err := json.Unmarshal([]byte(strconv.Quote(encoded)), &h); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	encode := func(h *hdrhistogram.Histogram) string {
		text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	check("not base64", "%%%")
	check("too short", "AAAA")
	check("not compressed", base64.StdEncoding.EncodeToString(make([]byte, 64)))
	check("another upper bound", encode(hdrhistogram.New(1, math.MaxInt64/2, 3)))
	check("another lower bound", encode(hdrhistogram.New(1000, histogramTop, 3)))
	check("other figures", encode(hdrhistogram.New(1, histogramTop, 5)))

	// A header that asks for two gigabytes.
	var compressed bytes.Buffer
	z := zlib.NewWriter(&compressed)
	header := []any{int32(0x1c849303 | 0x10), int32(math.MaxInt32), int32(0), int32(3), int64(1), histogramTop, float64(1)}
	for _, field := range header {
		if err := binary.Write(z, binary.BigEndian, field); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	outer := binary.BigEndian.AppendUint32(nil, 0x1c849304|0x10)
	outer = binary.BigEndian.AppendUint32(outer, uint32(compressed.Len()))
	check("a payload of 2 GiB", base64.StdEncoding.EncodeToString(append(outer, compressed.Bytes()...)))

	var h Histogram
	if err := json.Unmarshal([]byte("7"), &h); err == nil {
		t.Error("a number: no error")
	}
}

func TestHistogramRecordDoesNotAllocate(t *testing.T) {
	h := histogramOf(time.Second)
	if n := testing.AllocsPerRun(1000, func() { h.Record(3 * time.Millisecond) }); n != 0 {
		t.Errorf("Record makes %v allocations", n)
	}
}
