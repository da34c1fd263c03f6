package plan

import (
	"regexp"
	"time"

	"github.com/duet-bench/duet/internal/strictyaml"
)

// Same says what becomes of what is the same at base and head. The zero value is a pull request's.
type Same string

// What becomes of it.
const (
	SameLeft  Same = ""      // where nothing changed nothing is measured; identical inputs are measured at head alone
	SameOnce  Same = "once"  // a night's: measured also where nothing changed; identical inputs at head alone
	SameAgain Same = "again" // a self-check's: identical inputs are measured against each other
)

// Nightly is what duet.yml says of `duet nightly`.
type Nightly struct {
	Label  string        // of the one issue
	Title  string        // of the one issue
	Anchor string        // full sha of what nights are measured against; empty: the history's, else the first night's head
	Bisect time.Duration // most time of a night's bisections; 0: none
}

// Bounds and defaults of nightly.
const (
	defaultLabel  = "duet-nightly"
	defaultTitle  = "Duet: the default branch has become slower"
	defaultBisect = 20 * time.Minute
	maxBisect     = 6 * time.Hour
)

var (
	issueLabel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,48}[A-Za-z0-9]$`)
	issueTitle = regexp.MustCompile(`^[!-~][ -~]{0,198}[!-~]$`)
	fullSHA    = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

func defaultNightly() Nightly {
	return Nightly{Label: defaultLabel, Title: defaultTitle, Bisect: defaultBisect}
}

func (o *Nightly) read(n strictyaml.Node) error {
	return n.Map(
		strictyaml.Field{Key: "label", Read: strictyaml.Text(&o.Label, strictyaml.Matching(issueLabel, "2 to 50 of letters, digits, blanks and . _ : / -, the first and the last a letter or a digit"))},
		strictyaml.Field{Key: "title", Read: strictyaml.Text(&o.Title, strictyaml.Matching(issueTitle, "2 to 200 printable ASCII characters"))},
		strictyaml.Field{Key: "anchor", Read: strictyaml.Text(&o.Anchor, strictyaml.Matching(fullSHA, "a commit's full sha"))},
		strictyaml.Field{Key: "bisect", Read: strictyaml.Duration(&o.Bisect, 0, maxBisect)},
	)
}

func nightlySchema() object {
	return closed(object{
		"label":  about(object{"type": "string", "pattern": issueLabel.String()}, "Label of the one issue. Default "+defaultLabel+"."),
		"title":  about(object{"type": "string", "pattern": issueTitle.String()}, "Title of the one issue. Default "+defaultTitle+"."),
		"anchor": about(object{"type": "string", "pattern": fullSHA.String()}, "Full sha of the commit that nights are measured against. Default: the history's; the first night's head."),
		"bisect": about(durationSchema(), "Most time of a night's bisections, to 6h; 0s turns them off. Default 20m."),
	})
}
