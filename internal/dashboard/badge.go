package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/triage"
)

// Badge is the state of the last night in a few words.
type Badge struct {
	Label, Message string
	Tone           Tone
}

// Tone is what a badge's colour says; its words say the same.
type Tone int

// The tones.
const (
	Unknown Tone = iota // nothing to tell by
	Good
	Doubt
	Bad
)

// NewBadge says what is worst: an open regression, a night that measured nothing or is missing, else since when all is quiet.
func NewBadge(in Input) Badge {
	b := Badge{Label: "duet"}
	r := triage.New(triage.Input{Entries: in.Entries, Series: in.Series, Changes: in.Changes, Now: in.Now})
	switch {
	case r.LastGood == nil:
		b.Message = "no night yet"
		if len(in.Entries) > 0 {
			b.Message, b.Tone = "no night measured", Doubt
		}
	case len(r.Open) > 0:
		b.Message, b.Tone = plural(len(r.Open), "open regression"), Bad
	case missedLast(r, in.Now):
		b.Message, b.Tone = "last night missing", Doubt
	default:
		b.Message, b.Tone = "no change since "+quietSince(in), Good
	}
	return b
}

// missedLast says whether the last night measured nothing or was not recorded.
func missedLast(r triage.Report, now time.Time) bool {
	if r.Night.State != history.Measured {
		return true
	}
	return len(r.Missing) > 0 && r.Missing[len(r.Missing)-1].Last.After(triage.Night(r.Night)) && !now.IsZero()
}

// quietSince is the date of the last change point, or of the first night.
func quietSince(in Input) string {
	last := in.Entries[0]
	at := map[history.Key]history.Series{}
	for _, s := range in.Series {
		at[s.Key] = s
	}
	for _, c := range in.Changes {
		points := at[c.Key].Points
		if c.At < 0 || c.At >= len(points) {
			continue
		}
		if e := in.Entries[points[c.At].Entry]; triage.Night(e).After(triage.Night(last)) {
			last = e
		}
	}
	return triage.Night(last).Format(time.DateOnly)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// clean makes both texts harmless.
func (b Badge) clean() Badge {
	const limit = 60
	b.Label, b.Message = report.Clean(b.Label, limit), report.Clean(b.Message, limit)
	return b
}

// JSON is the badge for shields.io's endpoint (https://shields.io/badges/endpoint-badge).
func (b Badge) JSON() ([]byte, error) {
	b = b.clean()
	text, err := json.Marshal(struct {
		Schema  int    `json:"schemaVersion"`
		Label   string `json:"label"`
		Message string `json:"message"`
		Color   string `json:"color"`
	}{1, b.Label, b.Message, [...]string{Unknown: "lightgrey", Good: "brightgreen", Doubt: "orange", Bad: "red"}[b.Tone]})
	if err != nil {
		return nil, fmt.Errorf("writing the badge: %w", err)
	}
	return append(text, '\n'), nil
}

// badgeSVG is a flat badge. Widths are a guess at the font's; textLength makes the text fit them in any font.
const badgeSVG = `<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="20" role="img" aria-label="{{html .Label}}: {{html .Message}}">
<title>{{html .Label}}: {{html .Message}}</title>
<clipPath id="r"><rect width="{{.Width}}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{{.Left}}" height="20" fill="#444c56"/><rect x="{{.Left}}" width="{{.Right}}" height="20" fill="{{.Fill}}"/></g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11" text-anchor="middle">
<text x="{{.LeftMiddle}}" y="14" textLength="{{.LeftText}}">{{html .Label}}</text>
<text x="{{.RightMiddle}}" y="14" textLength="{{.RightText}}">{{html .Message}}</text>
</g>
</svg>
`

// SVG is the badge as a picture. White on each of its colours has a contrast of 4.5 or more.
func (b Badge) SVG() ([]byte, error) {
	drawing, err := template.New("badge").Parse(badgeSVG)
	if err != nil {
		return nil, fmt.Errorf("parsing the badge's template: %w", err)
	}
	b = b.clean()
	left, right := textWidth(b.Label), textWidth(b.Message)
	var out bytes.Buffer
	err = drawing.Execute(&out, map[string]any{
		"Label": b.Label, "Message": b.Message,
		"Fill":  [...]string{Unknown: "#656d76", Good: "#1a7f37", Doubt: "#9a6700", Bad: "#c0281e"}[b.Tone],
		"Width": left + right + 24, "Left": left + 12, "Right": right + 12,
		"LeftText": left, "RightText": right, "LeftMiddle": (left + 12) / 2, "RightMiddle": left + 12 + (right+12)/2,
	})
	if err != nil {
		return nil, fmt.Errorf("writing the badge: %w", err)
	}
	return out.Bytes(), nil
}

// textWidth is about how wide a text is at 11 px.
func textWidth(s string) int { return (utf8.RuneCountInString(s)*13 + 1) / 2 }
