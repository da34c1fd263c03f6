package report

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "folder for screenshots of report.html, to be looked at")

// browserPatience is how long one test may take in the browser, on a machine that does other things as well.
const browserPatience = 3 * time.Minute

// browser starts Chromium, which ends with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Fatal("no chromium on PATH: scripts/test installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	allocated, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return ctx
}

// tab is a page in a browser of which every complaint and every request is a fault.
type tab struct {
	t    *testing.T
	ctx  context.Context
	file string

	mu     sync.Mutex
	faults []string
}

// act is something done in a tab.
type act = chromedp.Action[chromedp.Void]

// command is one of the browser's own.
func command[P, R any](c cdp.Command[P, R], parameters P) act {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, parameters)
		return err
	})
}

// display is so wide and high.
func display(width, height int64, scale float64) act {
	return command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale, Mobile: width < 500})
}

// prefers is a system whose colours are dark or light.
func prefers(value string) act {
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}})
}

// open shows a page from a file, with a fragment.
func open(t *testing.T, parent context.Context, html []byte, fragment string, first ...act) *tab {
	t.Helper()
	b := &tab{t: t, file: filepath.Join(t.TempDir(), "report.html")}
	ctx, cancel := chromedp.NewContext(parent)
	t.Cleanup(cancel)
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	b.ctx, cancel = context.WithTimeout(ctx, browserPatience)
	t.Cleanup(cancel)
	b.run(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}))
	b.run(first...)
	t.Cleanup(b.check)
	b.show(html, fragment)
	return b
}

// show opens another page in the tab.
func (b *tab) show(html []byte, fragment string) {
	b.t.Helper()
	if err := os.WriteFile(b.file, html, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.run(chromedp.Navigate((&url.URL{Scheme: "file", Path: b.file}).String() + fragment))
}

func (b *tab) listen(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = fmt.Sprintf("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprintf("console: %s", e.Type)
		for _, argument := range e.Args {
			fault += fmt.Sprintf(" %s%s", argument.Value, argument.Description)
		}
	case *log.EventEntryAdded:
		fault = fmt.Sprintf("log: %s %s", e.Entry.Level, e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		fault = "a dialog: " + e.Message
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && (u.Scheme == "data" || u.Scheme == "file" && u.Path == b.file) {
			return
		}
		fault = "a request: " + e.Request.URL
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fault)
}

func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range b.faults {
		b.t.Errorf("%s", fault)
	}
}

func (b *tab) run(steps ...act) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval is what an expression yields in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return out
}

// do runs statements.
func (b *tab) do(statements string) {
	b.t.Helper()
	eval[int](b, "(() => { "+statements+"; return 0 })()")
}

// is fails where an expression does not yield what is wanted.
func is[T comparable](b *tab, expression string, want T) {
	b.t.Helper()
	if got := eval[T](b, expression); got != want {
		b.t.Errorf("%s: got %v, want %v", expression, got, want)
	}
}

func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.run(chromedp.KeyEvent(key))
	}
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

func (b *tab) fragment() url.Values {
	b.t.Helper()
	text := strings.TrimPrefix(eval[string](b, "location.hash"), "#")
	values, err := url.ParseQuery(text)
	if err != nil {
		b.t.Fatalf("fragment %q: %v", text, err)
	}
	return values
}

// TestShots takes the pictures that somebody looks at before a change of the page is called done.
func TestShots(t *testing.T) {
	if *shots == "" {
		return // nobody asked for them
	}
	parent, html := browser(t), fullPage(t)
	for _, s := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"light", 1280, 900, false}, {"dark", 1280, 900, true}, {"phone", 375, 812, false}, {"phone-dark", 375, 812, true}} {
		value := map[bool]string{true: "dark", false: "light"}[s.dark]
		b := open(t, parent, html, "", display(s.width, s.height, 1), prefers(value))
		b.run(chromedp.Sleep(300 * time.Millisecond))
		for _, part := range []string{"header", ".decision", "#moved", "#why", "#rows-part", "#latency-part", "#memory-part", "#runtime-part", "#flame-part", "#run-part"} {
			b.shot(s.name, part)
		}
		b.run(chromedp.ScrollIntoView(chromedp.CSS("#flame-canvas")))
		at := eval[[]float64](b, "(() => { const r = document.getElementById('flame-canvas').getBoundingClientRect(); return [r.left + 0.15 * r.width, r.top + 110] })()")
		b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1]))
		b.do("document.querySelector('#flame details').open = true")
		b.shot(s.name+"-hover", "#flame-part")
		b.click("#flame input[value=head] + span")
		b.shot(s.name+"-head", "#flame-part")
		b.run(chromedp.SendKeys(chromedp.CSS("#flame-find"), "Lookup"))
		b.shot(s.name+"-search", "#flame-part")
	}
}

func (b *tab) shot(name, part string) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.Screenshot(chromedp.CSS(part)))
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(*shots, name+"-"+strings.Trim(part, ".#")+".png")
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
