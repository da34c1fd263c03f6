// Package dashboard turns the history into a static site: one page, and data that it loads when it is looked at. Its stance:
// it works from any file server and from a plain folder, asks nobody else for anything, and says what is missing before it
// draws what is there. Every name, commit message and address is untrusted: data is JSON, the page makes text nodes of it.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/triage"
)

// Input is what a site is made of.
type Input struct {
	Entries []history.Entry // oldest first
	Series  []history.Series
	Changes []history.Change
	Now     time.Time // when the site is made; nights up to it are missed
	Title   string    // "OWNER/NAME"; empty: the repository's, else "Duet"
	// Repository is https://github.com/OWNER/NAME, for links to commits; empty: that of the last run.
	Repository string
}

// Files makes the site: by path below its folder.
func Files(in Input) (map[string][]byte, error) {
	in.Repository = repository(in)
	if in.Title == "" {
		in.Title = title(in.Repository)
	}
	in.Title = name(in.Title)
	s := newSite(in)
	data := map[string]any{"builds": s.builds()}
	for i := range s.shards {
		data[fmt.Sprintf("s/%d", i)] = s.shard(i)
	}
	for month, nights := range s.months() {
		data["n/"+month] = s.month(nights)
	}
	index := s.index()
	files := map[string][]byte{}
	for name, value := range data {
		text, err := script(name, value)
		if err != nil {
			return nil, err
		}
		files["data/"+name+".js"] = text
	}
	index.Version = digest(files)
	text, err := script("index", index)
	if err != nil {
		return nil, err
	}
	files["data/index.js"] = text
	if err := addAssets(files, in.Title); err != nil {
		return nil, err
	}
	return files, nil
}

// script is a value as a script that hands it to the page: unlike a fetch, this works from a plain folder too.
// encoding/json escapes <, >, & and the line separators, so that the text is a script and nothing else.
func script(name string, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing the data of %s: %w", name, err)
	}
	return fmt.Appendf(nil, "duet.put(%q,%s)\n", name, text), nil
}

// digest names the content of files, so that a browser never mixes those of two nights.
func digest(files map[string][]byte) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(sum, "%s %d\n", name, len(files[name]))
		sum.Write(files[name])
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// addAssets adds the page, its style and its code.
func addAssets(files map[string][]byte, title string) error {
	code, err := joined("core", "format", "spark", "overview", "chart", "metric", "night", "pages", "search", "main")
	if err != nil {
		return err
	}
	files["assets/dashboard.js"] = code
	for _, name := range []string{"uplot.min.js", "uplot.min.css", "dashboard.css", "icon.svg", "uplot.LICENSE"} {
		text, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return fmt.Errorf("reading the page's %s: %w", name, err)
		}
		files["assets/"+name] = text
	}
	page, err := template.ParseFS(assets, "assets/index.html")
	if err != nil {
		return fmt.Errorf("parsing the page: %w", err)
	}
	var text bytes.Buffer
	if err := page.Execute(&text, map[string]string{"Title": title, "Version": digest(files)}); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	files["index.html"] = text.Bytes()
	files[".nojekyll"] = nil // GitHub Pages: serve the files as they are
	return nil
}

// joined is the page's code as one script.
func joined(names ...string) ([]byte, error) {
	var code bytes.Buffer
	code.WriteString("\"use strict\";\n")
	for _, name := range names {
		text, err := assets.ReadFile("assets/" + name + ".js")
		if err != nil {
			return nil, fmt.Errorf("reading the page's code: %w", err)
		}
		code.Write(text)
	}
	return code.Bytes(), nil
}

// repository is where commits are to be seen: as given, else that of the last run on a forge.
func repository(in Input) string {
	if safe, ok := triage.SafeURL(in.Repository); ok {
		return strings.TrimSuffix(safe, "/")
	}
	for _, e := range slices.Backward(in.Entries) {
		if safe, ok := triage.SafeURL(e.Job.URL); ok {
			if before, _, found := strings.Cut(safe, "/actions/runs/"); found {
				return before
			}
		}
	}
	return ""
}

func title(repository string) string {
	parts := strings.Split(repository, "/")
	if len(parts) < 5 {
		return "Duet"
	}
	return strings.Join(parts[len(parts)-2:], "/")
}
