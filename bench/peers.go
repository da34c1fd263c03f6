//go:build linux

package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wrk asks as fast as it can: it knows no rate.
func (b *bench) wrk(ctx context.Context, s *server, length time.Duration) (told, spent, error) {
	sp, err := b.client(ctx, nil, "wrk", "-t1", "-c"+strconv.Itoa(b.connections), "-d"+strconv.FormatFloat(length.Seconds(), 'f', 0, 64)+"s",
		"-s", filepath.Join(b.dir, "native", "done.lua"), s.url())
	if err != nil {
		return told{}, sp, err
	}
	t, err := readWrk(sp.out)
	return t, sp, err
}

// readWrk reads what done.lua prints.
func readWrk(text string) (told, error) {
	t := told{Latency: quantiles{-1, -1, -1, -1}}
	names := map[string]int{"p50": 0, "p90": 1, "p99": 2, "p99.9": 3}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil {
			continue // wrk's own report
		}
		if name == "requests" {
			t.Requests = n
		} else if i, ok := names[name]; ok {
			t.Latency[i] = float64(n) / 1e6
		}
	}
	if t.Requests == 0 || slices.Contains(t.Latency[:], -1) {
		return told{}, fmt.Errorf("reading what wrk says: %q", text)
	}
	return t, nil
}

// hey asks at a rate, 0: as fast as it can.
func (b *bench) hey(ctx context.Context, s *server, rate float64) (told, error) {
	args := []string{"-z", b.stallFor.String(), "-c", strconv.Itoa(b.connections), "-o", "csv"}
	if rate > 0 {
		args = append(args, "-q", strconv.FormatFloat(rate/float64(b.connections), 'f', -1, 64)) // a worker
	}
	sp, err := b.client(ctx, nil, b.tools["hey"], append(args, s.url())...)
	if err != nil {
		return told{}, err
	}
	return readHey(sp.out)
}

// readHey reads one line for each answer, the response time in seconds first.
func readHey(text string) (told, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 2 {
		return told{}, fmt.Errorf("reading what hey says: %d rows: %w", len(rows), err)
	}
	values := make([]float64, len(rows)-1)
	for i, row := range rows[1:] {
		if values[i], err = strconv.ParseFloat(row[0], 64); err != nil {
			return told{}, fmt.Errorf("reading what hey says: %w", err)
		}
	}
	slices.Sort(values)
	t := told{Requests: int64(len(values))}
	for i, p := range percentiles() {
		rank := int(math.Ceil(p / 100 * float64(len(values))))
		t.Latency[i] = values[max(rank-1, 0)]
	}
	return t, nil
}

// bombardier asks at a rate, 0: as fast as it can.
func (b *bench) bombardier(ctx context.Context, s *server, rate float64) (told, error) {
	args := []string{"-c", strconv.Itoa(b.connections), "-d", b.stallFor.String(), "-l", "-p", "r", "-o", "json"}
	if rate > 0 {
		args = append(args, "-r", strconv.FormatFloat(rate, 'f', 0, 64))
	}
	sp, err := b.client(ctx, nil, b.tools["bombardier"], append(args, s.url())...)
	if err != nil {
		return told{}, err
	}
	return readBombardier(sp.out)
}

// readBombardier reads its JSON: microseconds, and nothing above p99.
func readBombardier(text string) (told, error) {
	var r struct {
		Result struct {
			OK      int64 `json:"req2xx"`
			Latency struct {
				Percentiles map[string]float64 `json:"percentiles"`
			} `json:"latency"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return told{}, fmt.Errorf("reading what bombardier says: %w", err)
	}
	t := told{Requests: r.Result.OK}
	for i, p := range percentiles() {
		value, ok := r.Result.Latency.Percentiles[strconv.FormatFloat(p, 'f', -1, 64)]
		if t.Latency[i] = value / 1e6; !ok {
			t.Latency[i] = -1
		}
	}
	if t.Requests == 0 {
		return told{}, fmt.Errorf("reading what bombardier says: no answers in %q", text)
	}
	return t, nil
}
