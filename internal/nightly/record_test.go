package nightly

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/triage"
)

// tree is every file of a folder with its text.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		b.WriteString(name + "\n" + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	store := history.OpenFolder(dir)
	l := &lab{t: t}
	nights := l.nights(lineOf(4), sha(0), sha(1), sha(2), sha(3))
	record := func(some ...history.Entry) (history.Loaded, int, error) {
		return Record(t.Context(), store, some)
	}
	// Two nights at once, the newer one first: the older one was kept while GitHub was away.
	if all, added, err := record(nights[1], nights[0]); err != nil || added != 2 || len(all.Entries) != 2 || all.Entries[0].ID != nights[0].ID {
		t.Fatalf("two: got %d, %d, %v", len(all.Entries), added, err)
	}
	before := tree(t, dir)
	if all, added, err := record(nights[1], nights[0], nights[1]); err != nil || added != 0 || len(all.Entries) != 2 || tree(t, dir) != before {
		t.Errorf("the same again: got %d, %d, %v", len(all.Entries), added, err)
	}
	if all, added, err := record(nights[2], nights[0]); err != nil || added != 1 || len(all.Entries) != 3 {
		t.Errorf("one more: got %d, %d, %v", len(all.Entries), added, err)
	}
	before = tree(t, dir)
	other := nights[0]
	other.Rows = other.Rows[:1]
	if _, added, err := record(nights[3], other); err == nil || added != 0 || !strings.Contains(err.Error(), "says something else") || tree(t, dir) != before {
		t.Errorf("another night under the same name: added %d, %v", added, err)
	}
}

// A history that cannot be read stops everything, and is left as it is.
func TestRecordStopsAtBadHistory(t *testing.T) {
	l := &lab{t: t}
	nights := l.nights(lineOf(2), sha(0), sha(1))
	for name, text := range map[string]string{
		"empty": "", "truncated": `{"schema":"duet.night/1","id":"`, "foreign": `[{"name":"bench"}]`, "future": `{"schema":"duet.night/9"}`,
	} {
		dir := t.TempDir()
		store := history.OpenFolder(dir)
		if _, _, err := Record(t.Context(), store, nights[:1]); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "data", "*", "*", "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		if err := os.WriteFile(files[0], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		before := tree(t, dir)
		_, added, err := Record(t.Context(), store, nights[1:])
		var missing *UnrecordedError
		if err == nil || added != 0 || errors.As(err, &missing) || tree(t, dir) != before {
			t.Errorf("%s: added %d, %v", name, added, err)
		}
	}
}

// away is a store that cannot be reached after so many appends.
type away struct {
	history.Store
	left int
}

func (a *away) Append(ctx context.Context, e history.Entry) error {
	if a.left--; a.left < 0 {
		return errors.New("could not resolve host")
	}
	return a.Store.Append(ctx, e)
}

// GitHub is away for an hour: what was not recorded is said, and the next night records it.
func TestRecordLater(t *testing.T) {
	store := history.OpenFolder(t.TempDir())
	l := &lab{t: t}
	nights := l.nights(lineOf(3), sha(0), sha(1), sha(2))
	_, added, err := Record(t.Context(), &away{store, 1}, nights[:2])
	var missing *UnrecordedError
	if !errors.As(err, &missing) || added != 1 || len(missing.Nights) != 1 || missing.Nights[0].ID != nights[1].ID || !strings.Contains(err.Error(), "1 nights are not in the history yet") {
		t.Fatalf("got %d, %v", added, err)
	}
	all, added, err := Record(t.Context(), store, nights)
	if err != nil || added != 2 || len(all.Entries) != 3 {
		t.Errorf("the next night: got %d, %d, %v", len(all.Entries), added, err)
	}
}

// The report names the first bad merge, also for rows that were not bisected themselves, and is open while it stands.
func TestTell(t *testing.T) {
	b := lineOf(12)
	l := &lab{t: t, work: map[string]float64{}}
	for i := 7; i < 12; i++ {
		l.work[sha(i)] = 1050
	}
	past := l.goodAndBad(b)
	night, err := l.night(b, Options{Entries: past, Bisect: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	tell := func(all []history.Entry) Report {
		series := history.Join(all)
		return Tell(triage.Input{Entries: all, Series: series, Changes: history.Changes(series, history.ChangesOptions{})})
	}
	if r := tell(past[:12]); r.Open || strings.Contains(r.Markdown, "irst bad") {
		t.Errorf("before anything happened: %+v", r)
	}
	all := append(past, night.Entry)
	r := tell(all)
	if !r.Open || len(r.Triage.Open) == 0 || r.Triage.Open[0].Since.SHA != sha(7) || !strings.Contains(r.Markdown, "commit "+sha(7)[36:]) {
		t.Errorf("got open %v, %+v:\n%s", r.Open, r.Triage.Open, r.Markdown)
	}
	for i := range r.Triage.Regressed {
		if m := r.Triage.Regressed[i]; m.FirstBad == nil || m.FirstBad.SHA != sha(7) {
			t.Errorf("%v: got %+v", m.Key, m)
		}
	}
	// It is mended: the same night after night, until the change point shows.
	for i := range 8 {
		e := all[0]
		e.Commit, e.ID = commit(sha(20+i)), sha(20+i)+"-77.1"
		e.Recorded = l.clock.Add(time.Duration(i+1) * 24 * time.Hour).Format(time.RFC3339)
		all = append(all, e)
	}
	if r := tell(all); r.Open {
		t.Errorf("it is still open: %+v", r.Triage.Open)
	}
}
