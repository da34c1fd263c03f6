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
				b.run(chromedp.Evaluate("location.hash = '"+hash+"'", nil))
				b.until("current === '" + hash + "'")
				b.settle()
				if page == "metric" {
					b.run(chromedp.Focus("#chart"), chromedp.KeyEvent("\uF011")) // End
					b.run(chromedp.Evaluate("charts[0].choose(charts[0].xs.length - 20, true)", nil))
				}
				var picture []byte
				b.run(chromedp.FullScreenshot(&picture, 100))
				if err := os.WriteFile(filepath.Join(folder, page+"-"+name+"-"+theme+".png"), picture, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b.run(chromedp.Evaluate("location.hash = nightLink(model.last - 20)", nil))
			b.until("document.querySelector('h1').textContent.startsWith('Night of')")
			b.settle()
			var picture []byte
			b.run(chromedp.CaptureScreenshot(&picture)) // the whole of it is long
			if err := os.WriteFile(filepath.Join(folder, "night-"+name+"-"+theme+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
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
				b.run(chromedp.MouseEvent(input.MouseMoved, 500, 320))
			}
			var picture []byte
			b.run(chromedp.FullScreenshot(&picture, 100))
			if err := os.WriteFile(filepath.Join(folder, page+"-"+name+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.check("http://127.0.0.1:")
}
