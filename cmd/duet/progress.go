package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sethvargo/go-githubactions"
	"golang.org/x/term"

	"github.com/duet-bench/duet/internal/sandbox"
)

// progress says what a run is doing: a live line on a terminal, log groups and plain lines elsewhere,
// never both. It writes to stderr, so that stdout is the report alone.
type progress struct {
	w       io.Writer
	live    bool // a terminal: rewrite one line
	actions *githubactions.Action
	started time.Time
	step    string
	last    time.Time
	open    bool // a log group is open
	dirty   bool // the live line holds text
}

// plainEvery is how often a plain log repeats what is being done.
const plainEvery = 10 * time.Second

func newProgress(w world) *progress {
	p := &progress{w: w.stderr, started: time.Now()}
	if w.getenv("GITHUB_ACTIONS") == "true" {
		p.actions = githubactions.New(githubactions.WithWriter(w.stderr), githubactions.WithGetenv(w.getenv))
		return p
	}
	if f, ok := w.stderr.(*os.File); ok && w.getenv("TERM") != "dumb" {
		p.live = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// Begin starts a kind of step. Steps of one kind that follow each other share a group.
func (p *progress) Begin(step string) {
	if step == p.step {
		return
	}
	p.endGroup()
	p.step = step
	switch {
	case p.live:
	case p.actions != nil:
		p.actions.Group(step)
		p.open = true
	default:
		fmt.Fprintf(p.w, "%s  %s\n", p.clock(), step)
	}
	p.last = time.Time{}
}

// Update says what is being done right now.
func (p *progress) Update(format string, args ...any) {
	text := sandbox.Sanitize(fmt.Sprintf(format, args...)) // it may quote what a service said
	if p.live {
		fmt.Fprintf(p.w, "\r\x1b[K%s  %s: %s", p.clock(), p.step, clip(text, 70))
		p.dirty = true
		return
	}
	if time.Since(p.last) >= plainEvery {
		p.last = time.Now()
		fmt.Fprintf(p.w, "%s    %s\n", p.clock(), text)
	}
}

// Note says something worth a line of its own.
func (p *progress) Note(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, "%s    %s\n", p.clock(), sandbox.Sanitize(fmt.Sprintf(format, args...)))
}

// End leaves a clean line behind.
func (p *progress) End() {
	p.endGroup()
	p.clear()
}

func (p *progress) endGroup() {
	if p.open {
		p.actions.EndGroup()
		p.open = false
	}
}

func (p *progress) clear() {
	if p.dirty {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.dirty = false
	}
}

func (p *progress) clock() string {
	d := time.Since(p.started).Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func clip(text string, runes int) string {
	if r := []rune(text); len(r) > runes {
		return string(r[:runes-1]) + "…"
	}
	return text
}
