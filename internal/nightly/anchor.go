package nightly

import (
	"time"

	"github.com/duet-bench/duet/internal/history"
)

// Anchor is what a night is measured against.
type Anchor struct {
	SHA      string
	Previous string // the history's anchor, where it is another one: both are measured against each other once
	First    bool   // nothing names an anchor yet: it is the head
}

// ChooseAnchor decides: what is asked for, else what duet.yml names, else the history's, else head. A move that names none
// goes to head. All are full shas; empty ones name nothing.
func ChooseAnchor(latest, asked, configured, head string, move bool) Anchor {
	a := Anchor{SHA: latest}
	switch {
	case asked != "":
		a.SHA = asked
	case move && (configured == "" || configured == latest):
		a.SHA = head
	case configured != "":
		a.SHA = configured
	}
	switch {
	case a.SHA == "":
		a.SHA, a.First = head, true
	case latest != "" && latest != a.SHA:
		a.Previous = latest
	}
	return a
}

// LatestAnchor is the anchor of the entry that was measured last; empty where there is none.
func LatestAnchor(entries []history.Entry) string {
	sha := ""
	var newest time.Time
	for _, e := range entries {
		if e.Anchor.SHA == "" || e.State != history.Measured {
			continue
		}
		at, _ := time.Parse(time.RFC3339, e.Recorded)
		// Of a move and the night after it, which may bear one second, the night counts: both have the new anchor.
		if sha == "" || !at.Before(newest) {
			sha, newest = e.Anchor.SHA, at
		}
	}
	return sha
}

// lastCommit is the last measured night's; empty without one.
func lastCommit(entries []history.Entry) string {
	last, _ := history.LastMeasured(entries)
	return last.Commit.SHA
}

// short is how a commit is named in words.
func short(sha string) string { return sha[:min(12, len(sha))] }
