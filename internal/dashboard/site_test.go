package dashboard_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/duet-bench/duet/internal/dashboard"
	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden holds got against a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// data is what a data file hands to the page.
func data(t *testing.T, site map[string][]byte, name string, into any) {
	t.Helper()
	text, ok := strings.CutPrefix(string(site["data/"+name+".js"]), fmt.Sprintf("duet.put(%q,", name))
	text, ended := strings.CutSuffix(text, ")\n")
	if !ok || !ended {
		t.Fatalf("data/%s.js is no call of put: %.100s", name, site["data/"+name+".js"])
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("data/%s.js: %v", name, err)
	}
}

// Every point of every series is in the data, as fine as its interval.
func TestDataIsWhole(t *testing.T) {
	t.Parallel()
	in := year()
	site := files(t, in)
	var index struct {
		Services, Workloads []string
		Metrics             []struct{ Name string }
		Shards              []struct{ W, M int }
	}
	data(t, site, "index", &index)
	type series struct {
		S         int
		N         []int
		Per, PerV float64
		R, L, H   []*float64
		V         []*float64
	}
	found := map[history.Key]series{}
	for i, shard := range index.Shards {
		var file struct{ Series []series }
		data(t, site, fmt.Sprintf("s/%d", i), &file)
		for _, s := range file.Series {
			found[history.Key{Service: index.Services[s.S], Workload: index.Workloads[shard.W], Metric: index.Metrics[shard.M].Name}] = s
		}
	}
	for _, want := range in.Series {
		got, ok := found[want.Key]
		if !ok || len(got.R) != len(want.Points) {
			t.Fatalf("%v: %d points, want %d", want.Key, len(got.R), len(want.Points))
		}
		var nights []int
		for i := 0; i < len(got.N); i += 2 {
			for k := range got.N[i+1] {
				nights = append(nights, got.N[i]+k)
			}
		}
		ratio, value := 0.0, 0.0
		for i, p := range want.Points {
			ratio += *got.R[i]
			value += *got.V[i]
			width := math.Max(p.High-p.Low, 2e-5)
			if nights[i] != p.Entry || math.Abs(ratio/got.Per-p.Ratio) > width/4 || math.Abs(value/got.PerV/p.Value-1) > 1e-3 {
				t.Fatalf("%v, point %d: night %d, ratio %g, value %g; want %d, %g, %g", want.Key, i, nights[i], ratio/got.Per, value/got.PerV, p.Entry, p.Ratio, p.Value)
			}
		}
	}
}

// A site is the same for the same history, and says no more than the history does.
func TestSameSite(t *testing.T) {
	t.Parallel()
	a, b := files(t, year()), files(t, year())
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs between two runs", name)
		}
	}
	names := regexp.MustCompile(`^(index\.html|\.nojekyll|assets/[a-z.A-Z]+|data/(index|builds)\.js|data/s/\d+\.js|data/n/(\d{4}-\d{2}|other)\.js)$`)
	for name := range a {
		if !names.MatchString(name) {
			t.Errorf("a file's name comes from the history: %s", name)
		}
	}
}

// What is untrusted never leaves its JSON string, and no address but https and http becomes a link.
func TestHostile(t *testing.T) {
	t.Parallel()
	in := evil()
	site := files(t, in)
	for name, text := range site {
		if strings.HasPrefix(name, "data/") && (bytes.Contains(text, []byte("<")) || bytes.Contains(text, []byte("\u2028")) || bytes.Contains(text, []byte("\u202e"))) {
			t.Errorf("%s has a raw < or a character that turns text around", name)
		}
	}
	if page := string(site["index.html"]); strings.Contains(page, "<img") || strings.Count(page, "<script") != 3 {
		t.Errorf("the page is not its template: %s", page)
	}
	origin := serve(t, site)
	b := openBrowser(t)
	b.run(chromedp.Navigate(origin))
	b.until("model !== null")
	for _, hash := range []string{"#/", "#/changes", "#/builds", "#/self-check"} {
		b.goTo(hash)
	}
	for _, link := range []string{"metricLink(0)", "link(['workload', model.workloads[model.workloads.length - 1]])", "link(['service', model.services[0]])", "nightLink(model.last)", "seriesLink(model.open[0].s)"} {
		hash, _ := b.eval(link).(string)
		b.goTo(hash)
		if strings.Contains(b.text("h1"), "Not here") {
			t.Errorf("%s = %s leads nowhere", link, hash)
		}
	}
	b.goTo("#/")
	b.write("#search", "script")
	b.until("!document.querySelector('#hits').hidden")
	if got := b.eval("document.querySelectorAll('img, iframe, script:not([src])').length"); got != 0.0 {
		t.Errorf("%v elements were made from texts", got)
	}
	if got := b.eval("[...document.querySelectorAll('a')].filter(a => !/^(https?|file):/.test(a.href)).length"); got != 0.0 {
		t.Errorf("%v links with another scheme", got)
	}
	b.check(origin)
}

// evil is a history whose every text means harm.
func evil() dashboard.Input {
	o := made.Options{Seed: 9, Start: time.Date(2026, 10, 1, 3, 0, 0, 0, time.UTC), Nights: 30, Services: []string{"go" + hostile, "rust" + hostile},
		Workloads: []string{"constructor", "__proto__", hostile}, Metrics: []string{"p50", "hasOwnProperty"},
		Steps: []made.Step{{Night: 15, Service: "go" + hostile, Workload: "__proto__", Metric: "p50", Factor: 1.2, Subject: hostile, Author: hostile}}}
	in := madeInput(o)
	for i := range in.Entries {
		e := &in.Entries[i]
		e.Job.URL = []string{"javascript:alert(1)", "https://example.com/a b", "https://example.com/runs/1", "data:text/html,x"}[i%4]
		e.Machine.CPU, e.Duet, e.Config = hostile, hostile, hostile
		e.Toolchains = map[string]string{hostile: hostile}
		e.SelfCheck.False = []string{hostile, hostile}
		if i%7 == 3 {
			e.State, e.Error, e.Rows, e.Gaps = history.NotMeasured, "exit status 1 "+hostile, nil, nil
		}
		if i%7 == 5 {
			e.ID, e.Commit.SHA = hostile, "not a sha "+hostile
		}
	}
	in.Repository = "javascript:alert(2)//"
	in.Title = hostile
	return in
}

// Histories that have little or are odd still make a site, which says what is missing.
func TestOddHistories(t *testing.T) {
	t.Parallel()
	failed := madeInput(made.Options{Nights: 3, Failed: []int{0, 1, 2}})
	lastFailed := madeInput(made.Options{Nights: 10, Failed: []int{9}, Workloads: []string{"health"}})
	late := madeInput(made.Options{Nights: 10, Workloads: []string{"health"}})
	late.Now = late.Now.AddDate(0, 0, 5)
	future := madeInput(made.Options{Nights: 10, Workloads: []string{"health"}})
	future.Entries[9].Recorded = "9999-12-31T00:00:00Z"
	future.Series = history.Join(future.Entries)
	unread := madeInput(made.Options{Nights: 10, Workloads: []string{"health"}})
	unread.Entries[4].Recorded = "yesterday"
	unread.Series = history.Join(unread.Entries)
	bad := madeInput(made.Options{Nights: 10, Workloads: []string{"health"}})
	bad.Changes = []history.Change{{Key: bad.Series[0].Key, At: 99, From: 98, Before: 1, After: 2}, {Key: history.Key{Service: "gone"}, At: 1, Before: 1, After: 2}, {Key: bad.Series[0].Key, At: 3, From: 3}}
	nothing := madeInput(made.Options{Nights: 5, Workloads: []string{"health"}})
	for i := range nothing.Entries {
		for k := range nothing.Entries[i].Rows {
			nothing.Entries[i].Rows[k] = history.Row{Service: "go", Workload: "health", Metric: "p50"}
		}
		nothing.Entries[i].SelfCheck, nothing.Entries[i].Gaps = nil, nil
	}
	nothing.Series = history.Join(nothing.Entries)
	b := openBrowser(t)
	for name, c := range map[string]struct {
		in   dashboard.Input
		want string
	}{
		"empty":       {dashboard.Input{}, "No night has been recorded yet."},
		"one night":   {madeInput(made.Options{Nights: 1}), "1 night recorded, none missing."},
		"all failed":  {failed, "No night has been successful yet."},
		"last failed": {lastFailed, "The last night measured nothing"},
		"late":        {late, "without figures; the last: 2024-01-14"},
		"far future":  {future, "Last successful night"},
		"unreadable":  {unread, "Last successful night"},
		"bad changes": {bad, "None is open"},
		"no figures":  {nothing, "Nothing was measured."},
		"twice":       {madeInput(made.Options{Nights: 10, Twice: []int{4, 5}, Late: []int{6}, Moves: []int{7, 9}}), "10 nights recorded"},
	} {
		folder := t.TempDir()
		write(t, c.in, folder)
		b.run(chromedp.Navigate("file://" + folder + "/index.html"))
		b.until("model !== null")
		b.contains(c.want)
		for _, page := range []string{"link(['changes'])", "link(['builds'])", "link(['self-check'])", "model.last >= 0 ? nightLink(model.last) : '#/'", "model.shards.length ? metricLink(0) : '#/'"} {
			hash, _ := b.eval(page).(string)
			b.goTo(hash)
		}
		if t.Failed() {
			t.Fatalf("in the history %q", name)
		}
	}
	b.check("file://")
}

func TestBadge(t *testing.T) {
	t.Parallel()
	regressed := year()
	quiet := madeInput(made.Options{Nights: 20, Workloads: []string{"health"}})
	late := quiet
	late.Now = late.Now.AddDate(0, 0, 3)
	for name, in := range map[string]dashboard.Input{
		"open": regressed, "quiet": quiet, "late": late, "none": {},
		"failed": madeInput(made.Options{Nights: 10, Failed: []int{9}, Workloads: []string{"health"}}),
	} {
		b := dashboard.NewBadge(in)
		drawing, err := b.SVG()
		if err != nil {
			t.Fatal(err)
		}
		text, err := b.JSON()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "badge-"+name+".svg", drawing)
		golden(t, "badge-"+name+".json", text)
	}
	hostileBadge := dashboard.Badge{Label: hostile, Message: hostile, Tone: dashboard.Bad}
	drawing, err := hostileBadge.SVG()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "badge-hostile.svg", drawing)
}
