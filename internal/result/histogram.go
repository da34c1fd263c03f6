package result

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of every latency histogram: 1 µs to 60 s at three significant figures, in nanoseconds
// scaled to histogramUnit. Longer values count as the upper bound, never as nothing.
const (
	histogramUnit    = 100 * time.Nanosecond
	histogramMax     = 60 * time.Second
	histogramFigures = 3
)

// Histogram is a distribution of durations (HDR, 100 ns to 60 s, three significant figures).
// Its JSON is the standard compressed HDR encoding in base64. The zero value is empty and ready to use.
type Histogram struct{ hdr *hdrhistogram.Histogram }

// Record adds one duration; it allocates on first use only.
func (h *Histogram) Record(d time.Duration) {
	if h.hdr == nil {
		h.hdr = hdrhistogram.New(1, int64(histogramMax/histogramUnit), histogramFigures)
	}
	v := int64(d / histogramUnit)
	_ = h.hdr.RecordValue(min(max(v, 0), int64(histogramMax/histogramUnit))) // clamped: cannot be out of range
}

// Add adds another histogram's counts.
func (h *Histogram) Add(other Histogram) {
	if other.hdr == nil {
		return
	}
	if h.hdr == nil {
		h.hdr = hdrhistogram.New(1, int64(histogramMax/histogramUnit), histogramFigures)
	}
	h.hdr.Merge(other.hdr)
}

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
	hdr, err := hdrhistogram.Decode([]byte(encoded))
	if err != nil {
		return fmt.Errorf("decoding histogram: %w", err)
	}
	h.hdr = hdr
	return nil
}
