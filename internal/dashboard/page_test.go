package dashboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/report"
)

// goTo shows a page of the site by its fragment.
func (b *browser) goTo(hash string) {
	b.t.Helper()
	b.do(fmt.Sprintf("location.hash = %q", hash))
	b.until(fmt.Sprintf("current === %q", hash))
	b.settle()
}

// contains says whether the page's text has all of these.
func (b *browser) contains(texts ...string) {
	b.t.Helper()
	page := b.text("body")
	for _, text := range texts {
		if !strings.Contains(page, text) {
			b.t.Errorf("%v: the page lacks %q; it has %.1500q", b.eval("location.hash"), text, page)
		}
	}
}

// allPages are the fragments of every kind of page.
func allPages() []string {
	return []string{"#/", "#/?metric=p50", "#/workload/order-pipeline", "#/service/rust", "#/metric/order-pipeline/cpu_per_request", "#/metric//binary_size",
		"#/metric/health/p99?view=absolute", "#/changes", "#/changes?show=open", "#/builds", "#/self-check", "#/nowhere", "#/night/none", "#/metric/a/b", "#/workload/%E0%A4%A"}
}

// nameless finds controls that a screen reader could not name.
const nameless = `[...document.querySelectorAll('a, button, input, select, [tabindex="0"], [role]:not([role="search"])')]
	.filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label') || e.id === 'hits'))
	.map(e => e.outerHTML.slice(0, 80)).join(' ')`

// The site as a file server has it.
func TestPage(t *testing.T) {
	t.Parallel()
	in := year()
	origin := serve(t, files(t, in))
	b := openBrowser(t)
	b.size(1280, 900)
	b.run(chromedp.Navigate(origin))
	b.until("model !== null")

	t.Run("overview", func(t *testing.T) {
		b.t = t
		b.contains("Last successful night: 2026-11-25", "6 nights without figures", "rust · json-pipeline · instructions", "+6.0 %", "34 days", "another CPU", "First bad merge: 5eed5eed5e Merge #77: keep unknown fields by D. Rossi")
		if got := b.eval("document.querySelectorAll('table.grid tbody tr').length"); got != 8.0-1 {
			t.Errorf("the grid has %v rows, want 7", got)
		}
		if got := b.eval("document.querySelectorAll('.spark.bad').length"); got != 1.0 {
			t.Errorf("%v lines are marked as open regressions, want 1", got)
		}
	})
	t.Run("navigate", func(t *testing.T) {
		b.t = t
		for _, hash := range allPages() {
			b.goTo(hash)
			if b.text("h1") == "" {
				t.Errorf("%s has no heading", hash)
			}
			if got := b.eval(nameless); got != "" {
				t.Errorf("%s has controls without a name: %v", hash, got)
			}
		}
		b.do("history.back()")
		b.until("current === '#/metric/a/b'")
	})
	t.Run("search", func(t *testing.T) { b.t = t; searches(b) })
	t.Run("point", func(t *testing.T) { b.t = t; points(b, in) })
	t.Run("theme", func(t *testing.T) { b.t = t; themes(b) })
	t.Run("phone", func(t *testing.T) {
		b.t = t
		b.size(375, 800)
		for _, hash := range append(allPages(), "#/night/"+in.Entries[len(in.Entries)-20].ID) {
			b.goTo(hash)
			if got := b.eval("document.documentElement.scrollWidth"); got.(float64) > 375 {
				t.Errorf("%s is %v wide on a phone of 375: %v", hash, got,
					b.eval("[...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 376).map(e => e.tagName + '.' + e.className).slice(0, 5).join(' ')"))
			}
		}
	})
	b.t = t
	b.check(origin)
}

// searches looks for each kind of thing by keys alone.
func searches(b *browser) {
	for words, want := range map[string]string{
		"order-pip":      "#/workload/order-pipeline",
		"orders round l": "#/night/", // the subject of a commit
		"throughput":     "#/?metric=throughput",
		"2026-03-26":     "#/night/",
		"rust p50 webs":  "#/metric/websocket/p50?focus=rust",
	} {
		b.goTo("#/changes")
		b.keys("/")
		b.until("document.activeElement.id === 'search'")
		b.do("document.querySelector('#search').value = ''") // the protocol types the slash into it all the same; a keyboard does not
		b.write("#search", words)
		b.keys(kb.ArrowDown)
		b.until("document.querySelector('#hits li[aria-selected=true]')")
		if got := b.eval("document.querySelector('#search').getAttribute('aria-activedescendant')"); got != "hit-0" {
			b.t.Errorf("%q: the active hit is %v, want hit-0", words, got)
		}
		b.keys(kb.Enter)
		b.until(fmt.Sprintf("location.hash.startsWith(%q)", want))
		b.settle()
	}
	b.write("#search", "no such thing")
	b.until("document.querySelector('#hits').textContent === 'Nothing found'")
	b.keys(kb.Escape)
	b.until("document.querySelector('#hits').hidden")
}

// points clicks on a chart, goes on by keys, and opens what it finds from its address.
func points(b *browser, in fixture) {
	b.goTo("#/metric/order-pipeline/cpu_per_request")
	middle := b.eval("(() => { const r = charts[0].plot.over.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()").([]any)
	x, y := middle[0].(float64), middle[1].(float64)
	b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y), chromedp.MouseClickXY(x, y))
	b.until("location.hash.includes('night=')")
	b.until("document.querySelector('#night-panel').textContent.includes('All rows of this night')")
	night := int(b.eval("model.byID.get(new URLSearchParams(location.hash.split('?')[1]).get('night'))").(float64))
	b.contains(in.Entries[night].Recorded[:10], in.Entries[night].Commit.SHA[:10])
	panel := b.text("#night-panel")
	for _, s := range in.Series {
		if s.Key != (history.Key{Service: "go", Workload: "order-pipeline", Metric: "cpu_per_request"}) {
			continue
		}
		for _, p := range s.Points {
			if want := report.Percent(p.Ratio); p.Entry == night && !strings.Contains(panel, want) {
				b.t.Errorf("the panel of night %d lacks go's %s: %s", night, want, panel)
			}
		}
	}

	b.focus("#chart")
	b.keys(kb.ArrowRight)
	b.until(fmt.Sprintf("location.hash.includes(%q)", in.Entries[night+1].ID))
	b.do("document.querySelector('.chip').click()")
	b.do("document.querySelector('[data-view=absolute]').click()")
	b.until("location.hash.includes('view=absolute')")
	b.do("charts[0].zoom(model.at[200], model.at[260])")
	b.until("location.hash.includes('from=')")
	shared, _ := b.eval("location.href").(string)
	caption, panel := b.text(".caption"), b.text("#night-panel")

	// Somebody else opens the link.
	b.run(chromedp.Navigate("about:blank"), chromedp.Navigate(shared))
	b.until("document.querySelector('#night-panel')")
	b.settle()
	if got := b.text(".caption"); got != caption {
		b.t.Errorf("from the link the caption is %q, want %q", got, caption)
	}
	if got := b.text("#night-panel"); got != panel {
		b.t.Errorf("from the link the panel says %q, want %q", got, panel)
	}
	if got := b.eval("[...document.querySelectorAll('.chip')].map(c => c.getAttribute('aria-pressed')).join()"); got != "false,true" {
		b.t.Errorf("from the link the chosen services are %v, want rust alone", got)
	}
	if got := b.eval("Math.abs(charts[0].plot.scales.x.min - model.at[200]) < 2 * 86400"); got != true {
		b.t.Error("from the link the stretch of time is another one")
	}

	b.focus("#chart")
	b.keys(kb.ArrowRight, kb.Enter)
	b.until("location.hash.startsWith('#/night/')")
	b.settle()
	b.contains("Night of", "170 of 170", "AMD EPYC 7763", "Its run")
	if got := b.eval("[...document.querySelectorAll('main a')].find(a => a.textContent === 'Its run').href").(string); !strings.HasPrefix(got, "https://github.com/example/shop/actions/runs/") {
		b.t.Errorf("the night's run is at %s", got)
	}
	b.write("main input", "rust websocket")
	b.until("document.querySelector('main [role=status]').textContent === '12 of 170'")
}

// themes follows the system's theme, and the button against it.
func themes(b *browser) {
	paper := "getComputedStyle(document.body).backgroundColor"
	b.scheme("dark")
	b.goTo("#/metric/order-pipeline/p50")
	dark := b.eval(paper)
	b.scheme("light")
	light := b.eval(paper)
	if dark == light {
		b.t.Errorf("the page is %v in both themes", dark)
	}
	b.click("#theme")
	b.click("#theme")
	if got := b.eval(paper); got != dark {
		b.t.Errorf("after choosing dark the page is %v, want %v", got, dark)
	}
	b.run(chromedp.Reload())
	b.until("document.querySelector('h1')")
	if got := b.text("#theme"); got != "Theme: dark" {
		b.t.Errorf("after loading anew: %q", got)
	}
	b.click("#theme")
}

// The site works from a folder, without any server.
func TestPlainFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, year(), folder)
	b := openBrowser(t)
	b.run(chromedp.Navigate("file://" + folder + "/index.html#/metric/json-pipeline/instructions"))
	b.until("document.querySelector('#chart canvas')")
	b.focus("#chart")
	b.keys(kb.ArrowLeft)
	b.until("location.hash.includes('night=')")
	b.goTo("#/builds")
	b.goTo("#/")
	b.contains("Last successful night: 2026-11-25")
	b.do("location.hash = nightLink(10)")
	b.until("document.querySelector('table.rows')")
	b.check("file://" + folder + "/")
}
