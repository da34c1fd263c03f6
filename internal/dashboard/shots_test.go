package dashboard_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// TestShots takes pictures of every page for people to look at, into the folder that DUET_SHOTS names.
func TestShots(t *testing.T) {
	folder := os.Getenv("DUET_SHOTS")
	if folder == "" {
		return
	}
	origin := serve(t, files(t, year()))
	b := openBrowser(t)
	b.run(chromedp.Navigate(origin))
	for _, theme := range []string{"light", "dark"} {
		b.scheme(theme)
		for name, size := range map[string][2]int64{"wide": {1280, 900}, "phone": {375, 800}} {
			b.size(size[0], size[1])
			for page, hash := range map[string]string{
				"overview": "#/", "metric": "#/metric/order-pipeline/cpu_per_request", "absolute": "#/metric/order-pipeline/p50?view=absolute&from=2026-08-01&to=2026-11-25",
				"workload": "#/workload/order-pipeline", "service": "#/service/go", "changes": "#/changes", "builds": "#/builds", "check": "#/self-check",
			} {
				b.do("location.hash = '" + hash + "'")
				b.until("current === '" + hash + "'")
				b.settle()
				if page == "metric" {
					b.focus("#chart")
					b.do("charts[0].choose(charts[0].xs.length - 20, true)")
				}
				b.picture(filepath.Join(folder, page+"-"+name+"-"+theme+".png"), true)
			}
			b.do("location.hash = nightLink(model.last - 20)")
			b.until("document.querySelector('h1').textContent.startsWith('Night of')")
			b.settle()
			b.picture(filepath.Join(folder, "night-"+name+"-"+theme+".png"), false) // the whole of it is long
		}
	}
	origin = serve(t, files(t, manyNights(365)))
	b.scheme("light")
	for name, size := range map[string][2]int64{"wide": {1280, 900}, "phone": {375, 800}} {
		b.size(size[0], size[1])
		for page, hash := range map[string]string{"many": "#/?metric=cpu_per_request", "many-metric": "#/metric/health/cpu_per_request?services=go,gin,rust,rust-axum,fiber,echo"} {
			b.run(chromedp.Navigate("about:blank"), chromedp.Navigate(origin+hash))
			b.until("model !== null")
			b.settle()
			if page == "many-metric" && name == "wide" {
				b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 500, 320))
			}
			b.picture(filepath.Join(folder, page+"-"+name+".png"), true)
		}
	}
	b.check("http://127.0.0.1:")
}

// picture writes what is to be seen, or the whole page, into a file.
func (b *browser) picture(file string, whole bool) {
	b.t.Helper()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	text, err := chromedp.Run(b.ctx, take)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
