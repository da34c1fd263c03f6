package report

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/duet-bench/duet/internal/profdiff"
	"github.com/duet-bench/duet/internal/result"
)

func fullPage(t *testing.T) []byte {
	t.Helper()
	r, p := pageFixture()
	html, err := HTML(r, p)
	if err != nil {
		t.Fatal(err)
	}
	return html
}

// The page opens from a file, says what the comment says, asks for nothing and complains about nothing.
func TestBrowser(t *testing.T) {
	parent := browser(t)
	html := fullPage(t)
	t.Run("opens", func(t *testing.T) { opens(open(t, parent, html, "")) })
	t.Run("sorts", func(t *testing.T) { sorts(open(t, parent, html, "")) })
	t.Run("filters", func(t *testing.T) { filters(open(t, parent, html, "")) })
	t.Run("flames", func(t *testing.T) { flames(open(t, parent, html, "")) })
	t.Run("flames by keyboard", func(t *testing.T) { flamesByKeyboard(open(t, parent, html, "")) })
	t.Run("trees", func(t *testing.T) { trees(open(t, parent, html, "")) })
	t.Run("large", func(t *testing.T) { large(t, parent) })
	t.Run("charts", func(t *testing.T) { charts(open(t, parent, html, "")) })
	t.Run("themes", func(t *testing.T) { themes(open(t, parent, html, "")) })
	t.Run("phone", func(t *testing.T) {
		fits(open(t, parent, html, "", display(375, 812, 2)), 375)
	})
	t.Run("hostile", func(t *testing.T) {
		b := open(t, parent, html, "", display(375, 812, 1))
		for _, s := range []string{"</script><script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "\u2028alert(1)//", "&notwithoutasemicolon<b>", strings.Repeat("邪", 500), "{{x}}${y}`"} {
			b.show([]byte(hostilePage(t, s)), "")
			fits(b, 375)
			is(b, "document.querySelectorAll('img, iframe, main script').length", 0)
		}
	})
	t.Run("states", func(t *testing.T) {
		b := open(t, parent, html, "", display(375, 812, 1))
		for _, f := range fixtures() {
			r := New(f.run, f.c, f.o)
			head := newGraph(rand.New(rand.NewPCG(3, 4)), "go", "list", result.ProfileAllocs, "objects", 20, 1e5, 200)
			head.Root, head.HasBase, head.Samples[0] = alone(head.Root), false, 0
			page, err := HTML(r, NewPage(f.run, []profdiff.Graph{head}))
			if err != nil {
				t.Fatal(err)
			}
			b.show(page, "")
			is(b, "document.querySelector('#flame input:checked').value", "head")
			is(b, "document.querySelectorAll('#flame input:disabled').length", 2)
			is(b, "document.querySelector('h1').innerText.trim().replace(/\\s+/g, ' ')", strings.Join(strings.Fields(r.Headline.String()), " "))
			fits(b, 375)
		}
	})
}

func opens(b *tab) {
	is(b, "document.readyState", "complete")
	is(b, "document.querySelector('h1').innerText.trim()", "Go regressed, Rust inconclusive")
	is(b, "document.querySelectorAll('.uplot canvas').length", 9)
	is(b, "document.querySelectorAll('[data-theme]').length", 0)
	b.t.Logf("loaded after %.0f ms, %.0f ms of it scripts", eval[float64](b, "performance.getEntriesByType('navigation')[0].loadEventEnd"),
		eval[float64](b, "(() => { const n = performance.getEntriesByType('navigation')[0]; return n.domContentLoadedEventStart - n.responseEnd })()"))
	// Everything that can be used has a name and can be reached by the keyboard.
	is(b, `[...document.querySelectorAll('button, input, select, canvas#flame-canvas, .scroll')].filter((e) => !e.closest('[hidden]') && e.tabIndex < 0).length`, 0)
	is(b, `[...document.querySelectorAll('button, input, select, [role=application], [role=img], .scroll')].filter((e) => !(e.ariaLabel || e.labels?.length || e.innerText?.trim() || e.closest('details:not([open])'))).map((e) => e.outerHTML).join()`, "")
}

func sorts(b *tab) {
	first := "document.querySelector('#rows tbody tr').innerText"
	given := eval[string](b, first)
	values := "JSON.stringify([...document.querySelectorAll('#rows tbody tr')].map((r) => r.cells[4].dataset.value).filter(Boolean).map(Number))"
	read := func() (out []float64) {
		if err := json.Unmarshal([]byte(eval[string](b, values)), &out); err != nil {
			b.t.Fatal(err)
		}
		return out
	}
	title := "#rows th[data-key=change] button"
	b.click(title)
	for i, x := range read() {
		if i > 0 && x > read()[i-1] {
			b.t.Fatalf("sorted downwards: %v after %v", x, read()[i-1])
		}
	}
	is(b, "document.querySelector('#rows th[data-key=change]').ariaSort", "descending")
	if got := b.fragment().Get("rows.sort"); got != "change.descending" {
		b.t.Errorf("fragment: got sort %q", got)
	}
	sorted := eval[string](b, first)
	b.run(chromedp.Reload())
	is(b, first, sorted)
	b.run(chromedp.Focus(chromedp.CSS(title)))
	b.keys(kb.Enter)
	if got := read(); got[0] > got[len(got)-1] {
		b.t.Errorf("sorted upwards by the keyboard: got %v first, %v last", got[0], got[len(got)-1])
	}
	b.keys(kb.Enter)
	is(b, first, given)
	if got := b.fragment().Get("rows.sort"); got != "" {
		b.t.Errorf("as it came: fragment still has sort %q", got)
	}
}

func filters(b *tab) {
	visible := "[...document.querySelectorAll('#rows tbody tr')].filter((r) => r.offsetParent).length"
	all := eval[int](b, visible)
	b.run(chromedp.SendKeys(chromedp.CSS("#rows-find"), "rust P50"))
	is(b, visible, 3)
	is(b, "document.querySelector('#rows-shown').value", fmt.Sprintf("3 of %d rows", all))
	b.click(`#rows-controls [data-verdict=improved]`)
	is(b, visible, 0)
	b.do("document.getElementById('rows-find').value = ''")
	b.run(chromedp.SendKeys(chromedp.CSS("#rows-find"), "json"))
	is(b, visible, 1)
	if got := b.fragment(); got.Get("rows.verdict") != "improved" || got.Get("rows.find") != "json" {
		b.t.Errorf("fragment: got %v", got)
	}
	b.run(chromedp.Reload())
	is(b, visible, 1)
	is(b, "document.querySelector('#rows-find').value", "json")
	b.do("location.hash = '#rows.verdict=regressed'") // a link put into the same tab
	is(b, visible, 2)
	b.click("nav a[href='#run-part']")
	if got := b.fragment().Get("rows.verdict"); got != "regressed" {
		b.t.Errorf("an anchor dropped the state: %v", b.fragment())
	}
}

func flames(b *tab) {
	const zoomed = "document.getElementById('flame').dataset.zoom"
	is(b, zoomed, "all")
	b.run(chromedp.ScrollIntoView(chromedp.CSS("#flame-canvas")))
	// A click in the second row zooms in.
	at := eval[[]float64](b, "(() => { const r = document.getElementById('flame-canvas').getBoundingClientRect(); return [r.left + 40, r.top + 30] })()")
	b.run(chromedp.MouseClickXY(at[0], at[1]))
	first := eval[string](b, zoomed)
	if first == "all" {
		b.t.Error("a click did not zoom in")
	}
	if !strings.Contains(first, "acme/shortener") {
		b.t.Errorf("below all: got %q, want the first frame of own code", first)
	}
	b.run(chromedp.SendKeys(chromedp.CSS("#flame-find"), "/Lookup[0-9]+$/"))
	found := eval[string](b, "document.getElementById('flame-found').value")
	if !strings.Contains(found, "% of base") || !strings.Contains(found, "% of head") || strings.HasPrefix(found, "0 frames") {
		b.t.Errorf("search: got %q", found)
	}
	b.click("#flame input[value=base] + span")
	is(b, "document.querySelector('#flame input[value=base]').checked", true)
	is(b, zoomed, first)
	want := b.fragment()
	b.run(chromedp.Reload())
	if got := b.fragment(); got.Encode() != want.Encode() || got.Get("flame.view") != "base" || got.Get("flame.zoom") == "" {
		b.t.Errorf("fragment after loading again: got %v, want %v", got, want)
	}
	is(b, zoomed, first)
	is(b, "document.getElementById('flame-found').value", found)
	is(b, "document.querySelector('#flame input[value=base]').checked", true)
	b.click("#flame-reset")
	is(b, zoomed, "all")
	b.run(chromedp.SetValue(chromedp.CSS("#flame-service"), "rust"))
	b.do("document.getElementById('flame-service').dispatchEvent(new Event('change'))")
	if got := b.fragment().Get("flame"); !strings.HasPrefix(got, "rust·") {
		b.t.Errorf("another service: got %q", got)
	}
	boxes := eval[int](b, "Number(document.getElementById('flame').dataset.boxes)")
	b.click("#flame-runtime")
	is(b, "document.querySelector('#flame-runtime').checked", true)
	if got := eval[int](b, "Number(document.getElementById('flame').dataset.boxes)"); got == boxes {
		b.t.Errorf("runtime frames: got %d boxes as before", got)
	}
}

func flamesByKeyboard(b *tab) {
	const zoomed, chosen = "document.getElementById('flame').dataset.zoom", "document.getElementById('flame').dataset.chosen"
	b.run(chromedp.Focus(chromedp.CSS("#flame-canvas")))
	b.keys(kb.ArrowDown, kb.ArrowDown)
	second := eval[string](b, chosen)
	is(b, "document.querySelector('#flame-details .flame-name').textContent", second)
	b.keys(kb.ArrowRight)
	if got := eval[string](b, chosen); got == second {
		b.t.Errorf("the right arrow stays at %q", got)
	}
	b.keys(kb.ArrowLeft)
	is(b, chosen, second)
	b.keys(kb.Enter)
	is(b, zoomed, second)
	b.keys(kb.ArrowUp)
	if got := eval[string](b, chosen); got == second {
		b.t.Errorf("the up arrow stays at %q", got)
	}
	b.keys(kb.Escape)
	is(b, zoomed, "all")
	b.keys("/")
	is(b, "document.activeElement.id", "flame-find")
}

// trees holds what stacks.js computes.
func trees(b *tab) {
	b.do(`window.made = (() => {
	  const data = { names: ['', 'rt', 'own', 'lib', 'idle'], frames: [[0, -1, 0, 0], [1, -1, 0, 0], [2, -1, 0, 1], [3, -1, 0, 0], [4, -1, 0, 0]] };
	  //                 all rt  own lib idle lib own
	  const graph = { part: 1, frame: [0, 1, 2, 3, 4, 3, 2], calls: [3, 1, 1, 0, 0, 1, 0],
	    base: [100, 60, 60, 20, 10, 30, 20], head: [90, 70, 70, 0, 10, 10, 10], z: [-1, 2, 2, -4, 0, -3, -2] };
	  const root = duet.stacks.decode(graph, data);
	  const own = duet.stacks.fromOwn(root);
	  duet.stacks.measure(own, 'difference');
	  return own;
	})()`)
	is(b, "made.calls.map((c) => [c.name, c.base, c.head, c.width].join()).join(' ')", "own,80,80,100 outside own code,20,10,20")
	is(b, "made.calls[0].calls.map((c) => [c.name, c.base, c.head, c.width].join()).join()", "lib,20,0,20")
	is(b, "made.calls[1].calls.map((c) => [c.name, c.base, c.head].join()).join(' ')", "idle,10,10 lib,10,0")
	is(b, "made.width", 120.0)
	is(b, `(() => {
	  const data = { names: ['', 'server::main::{{closure}}', 'tokio', 'own', 'park'], frames: [[0, -1, 0, 0], [1, -1, 0, 1], [2, -1, 0, 0], [3, -1, 0, 1], [4, -1, 0, 0]] };
	  const graph = { part: 1, frame: [0, 1, 2, 3, 4], calls: [1, 1, 2, 0, 0], base: [10, 10, 10, 7, 3], head: [10, 10, 10, 7, 3], z: [0, 0, 0, 0, 0] };
	  return duet.stacks.fromOwn(duet.stacks.decode(graph, data)).calls.map((c) => c.name + c.head).join();
	})()`, "own7,outside own code3")
	for name, want := range map[string]string{
		"github.com/acme/x/store.(*Store[go.shape.string]).Lookup": "store.(*Store[go.shape.string]).Lookup",
		"encoding/json.Marshal":                                 "json.Marshal",
		"main.main.func1":                                       "main.main.func1",
		"server::store::find":                                   "find",
		"server::store::Store<T>::find":                         "Store<T>::find",
		"server::api::handle::{{closure}}":                      "handle::{{closure}}",
		"<alloc::vec::Vec<T> as core::iter::Extend<T>>::extend": "Vec<T>::extend",
		"memmove":               "memmove",
		"type:.eq.[2]interface": "type:.eq.[2]interface",
		"slices.SortFunc[go.shape.[]example.com/x.T,go.shape.struct { A int }]": "slices.SortFunc[go.shape.[]example.com/x.T,go.shape.struct { A int }]",
	} {
		text, _ := json.Marshal(name)
		is(b, "duet.stacks.label("+string(text)+")", want)
	}
}

// alone is a frame that was profiled at head alone.
func alone(f profdiff.Frame) profdiff.Frame {
	f.Base, f.Z = 0, 0
	for i := range f.Calls {
		f.Calls[i] = alone(f.Calls[i])
	}
	return f
}

// large is a graph of more than 20,000 frames, of which nothing was left out.
func large(t *testing.T, parent context.Context) {
	r := New(newRun(), newComparisons(), Options{})
	g := newGraph(rand.New(rand.NewPCG(1, 2)), "rust", "list", result.ProfileCPU, "s", 1e-4, 1e6, 30_000)
	frames, depth := countFrames(g.Root)
	html, err := HTML(r, Page{Graphs: []profdiff.Graph{g}})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, parent, html, "")
	b.run(chromedp.Focus(chromedp.CSS("#flame-canvas")))
	took := eval[float64](b, "(() => { const begin = performance.now(); const c = document.getElementById('flame-canvas'); for (let i = 0; i < 10; i++) c.dispatchEvent(new KeyboardEvent('keydown', { key: i % 2 ? 'ArrowUp' : 'ArrowDown' })); c.getContext('2d').getImageData(0, 0, 1, 1); return (performance.now() - begin) / 10 })()")
	t.Logf("%d frames, %d deep, %d bytes: %d boxes drawn in %.1f ms", frames, depth, len(html), eval[int](b, "Number(document.getElementById('flame').dataset.boxes)"), took)
	if frames < 20_000 {
		t.Errorf("the graph has only %d frames", frames)
	}
	b.keys(kb.ArrowDown, kb.Enter)
	if got := eval[string](b, "document.getElementById('flame').dataset.zoom"); got == "all" {
		t.Error("Enter did not zoom in")
	}
}

func charts(b *tab) {
	b.run(chromedp.Focus(chromedp.CSS("#latency-part .drawing")))
	b.keys(kb.ArrowRight, kb.ArrowRight, kb.ArrowRight)
	if got := eval[string](b, "document.querySelector('#latency-part .legend').innerText"); !strings.Contains(got, "at p") || !strings.Contains(got, "µs") {
		b.t.Errorf("the legend says %q, want values where the cursor is", got)
	}
	b.click("#latency-linear")
	if got := b.fragment().Get("latency.linear"); got != "1" {
		b.t.Errorf("fragment: got latency.linear %q", got)
	}
	b.run(chromedp.Reload())
	is(b, "document.getElementById('latency-linear').checked", true)
	b.click("#latency-part .legend button")
	is(b, "document.querySelector('#latency-part .legend button').ariaPressed", "false")
}

func themes(b *tab) {
	ground := "getComputedStyle(document.body).backgroundColor"
	light := eval[string](b, ground)
	b.run(prefers("dark"))
	night := eval[string](b, ground)
	if light == night {
		b.t.Errorf("a dark system: the ground stays %s", night)
	}
	b.click("#theme")
	is(b, "document.documentElement.dataset.theme", "light")
	is(b, ground, light)
	b.click("#theme")
	is(b, ground, night)
	b.run(chromedp.Reload())
	is(b, ground, night)
	is(b, "document.getElementById('theme').textContent", "Theme: dark")
	b.click("#theme")
}

// fits wants no part of the page to be wider than the screen, but for what scrolls in its own box.
func fits(b *tab, width int) {
	b.t.Helper()
	if got := eval[int](b, "document.documentElement.scrollWidth"); got > width {
		b.t.Errorf("the page is %d wide on a screen of %d: %s", got, width,
			eval[string](b, fmt.Sprintf("[...document.querySelectorAll('main *, header *')].filter((e) => !e.closest('.scroll, pre') && e.getBoundingClientRect().right > %d).slice(0, 3).map((e) => e.outerHTML.slice(0, 200)).join('\\n')", width)))
	}
}
