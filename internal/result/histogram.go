package result

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of every histogram: 100 ns to 60 s at three significant figures, counted in histogramUnit.
// Longer values count as the upper bound, never as nothing.
const (
	histogramUnit    = 100 * time.Nanosecond
	histogramMax     = 60 * time.Second
	histogramFigures = 3
	histogramTop     = int64(histogramMax / histogramUnit)
)

// maxHistogramPayload bounds the inflated counts of an encoded histogram, in bytes: its 20,480 counters
// take at most 9 bytes each.
const maxHistogramPayload = 20_480 * 9

// Histogram is a distribution of durations (HDR, 100 ns to 60 s, three significant figures).
// Its JSON is the standard compressed HDR encoding in base64. The zero value is empty and ready to use.
type Histogram struct{ hdr *hdrhistogram.Histogram }

// Record adds one duration; it allocates on first use only.
func (h *Histogram) Record(d time.Duration) { h.RecordN(d, 1) }

// RecordN adds one duration n times.
func (h *Histogram) RecordN(d time.Duration, n int64) {
	if h.hdr == nil {
		h.hdr = newHDR()
	}
	v := int64(d / histogramUnit)
	_ = h.hdr.RecordValues(min(max(v, 0), histogramTop), n) // clamped: cannot be out of range
}

// Add adds another histogram's counts.
func (h *Histogram) Add(other Histogram) {
	if other.hdr == nil {
		return
	}
	if h.hdr == nil {
		h.hdr = newHDR()
	}
	h.hdr.Merge(other.hdr) // all histograms have the same bounds: nothing can be dropped
}

func newHDR() *hdrhistogram.Histogram { return hdrhistogram.New(1, histogramTop, histogramFigures) }

// Reset empties h and keeps its memory.
func (h *Histogram) Reset() {
	if h.hdr != nil {
		h.hdr.Reset()
	}
}

// Count is how many durations were recorded.
func (h Histogram) Count() int64 {
	if h.hdr == nil {
		return 0
	}
	return h.hdr.TotalCount()
}

// At is the duration in seconds at a percentile (0 to 100), ok false when nothing was recorded.
func (h Histogram) At(percentile float64) (seconds float64, ok bool) {
	if h.Count() == 0 {
		return 0, false
	}
	return (time.Duration(h.hdr.ValueAtQuantile(percentile)) * histogramUnit).Seconds(), true
}

// MarshalJSON writes the compressed HDR encoding; an empty histogram is "".
func (h Histogram) MarshalJSON() ([]byte, error) {
	if h.Count() == 0 {
		return []byte(`""`), nil
	}
	encoded, err := h.hdr.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("encoding histogram: %w", err)
	}
	return json.Marshal(string(encoded))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var encoded string
	if err := json.Unmarshal(text, &encoded); err != nil {
		return err
	}
	if encoded == "" {
		*h = Histogram{}
		return nil
	}
	if err := checkEncoded(encoded); err != nil {
		return fmt.Errorf("decoding histogram: %w", err)
	}
	hdr, err := hdrhistogram.Decode([]byte(encoded))
	if err != nil {
		return fmt.Errorf("decoding histogram: %w", err)
	}
	h.hdr = hdr
	return nil
}

// checkEncoded refuses what is not a histogram of ours before the decoder makes room for it: a run.json may
// come from anybody, and a header can ask for any amount of memory.
func checkEncoded(encoded string) error {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	const outer = 8 // cookie and length, before the compressed part
	if len(raw) < outer {
		return fmt.Errorf("%d bytes: expected more than %d", len(raw), outer)
	}
	inflated, err := zlib.NewReader(bytes.NewReader(raw[outer:]))
	if err != nil {
		return err
	}
	var header struct {
		Cookie, Payload, Offset, Figures int32
		Lowest, Highest                  int64
		Ratio                            float64
	}
	if err := binary.Read(inflated, binary.BigEndian, &header); err != nil {
		return err
	}
	if header.Figures != histogramFigures || header.Lowest != 1 || header.Highest != histogramTop ||
		header.Payload < 0 || header.Payload > maxHistogramPayload {
		return fmt.Errorf("%d to %d at %d figures in %d bytes: expected 1 to %d at %d in at most %d",
			header.Lowest, header.Highest, header.Figures, header.Payload, histogramTop, histogramFigures, maxHistogramPayload)
	}
	return nil
}
