package github

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sethvargo/go-githubactions"
)

// GitHub's limits of what a step leaves (docs.github.com, "Workflow commands"; actions/runner).
const (
	maxSummary    = 1_000_000 // bytes, a little under the runner's 1 MiB, beyond which it keeps nothing
	maxKind       = 10        // annotations of one level that a step shows
	maxAnnotation = 4096      // bytes of one annotation's text
)

// Runner is the job's runner: its log and its files. The library panics where a file cannot be written, so every method
// returns that as an error: a report that cannot be shown here is no reason to fail.
type Runner struct{ action *githubactions.Action }

// NewRunner writes commands to the job's log.
func NewRunner(log io.Writer, getenv func(string) string) Runner {
	return Runner{githubactions.New(githubactions.WithWriter(log), githubactions.WithGetenv(getenv))}
}

// Output is one output of the step.
type Output struct{ Name, Value string }

// Outputs sets the step's outputs. Values are words, numbers, paths and addresses of Duet's own: a value with a line break
// is refused. The library ends each value with a constant line, which a value could hold; here it is a random one.
func (r Runner) Outputs(outputs []Output) (err error) {
	defer recovered(&err, "setting outputs")
	for _, o := range outputs {
		if strings.ContainsAny(o.Value, "\r\n\x00") || strings.ContainsAny(o.Name, "\r\n=<\x00") || o.Name == "" || !utf8.ValidString(o.Value) {
			return fmt.Errorf("setting outputs: %q = %.80q: expected one line", o.Name, o.Value)
		}
	}
	for _, o := range outputs {
		delimiter := "duet_" + rand.Text()
		r.action.IssueFileCommand(&githubactions.Command{
			Name: "output", Message: o.Name + "<<" + delimiter + githubactions.EOF + o.Value + githubactions.EOF + delimiter,
		})
	}
	return nil
}

// Summary adds a text to the job's summary, cut between lines where it is too long, which is then said.
func (r Runner) Summary(markdown string) (err error) {
	defer recovered(&err, "writing the job summary")
	r.action.AddStepSummary(cut(markdown, maxSummary))
	return nil
}

// cut keeps whole sections (that start with a heading or a fold) as far as they fit, else whole lines.
func cut(text string, limit int) string {
	return cutTo(text, limit, "\n\nCut here: a job summary has room for 1 MiB. The whole is in the artifact.\n")
}

// cutTo does so with a note of its own.
func cutTo(text string, limit int, note string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	head := text[:limit-len(note)]
	at := max(strings.LastIndex(head, "\n<details>"), strings.LastIndex(head, "\n#"))
	if at <= 0 {
		at = max(strings.LastIndex(head, "\n"), 0)
	}
	return head[:at] + note
}

// Level is how loud an annotation is, as GitHub calls it.
type Level string

// The levels.
const (
	Error   Level = "error"
	Warning Level = "warning"
	Notice  Level = "notice"
)

// Annotation is a remark on a line of a file, or on none.
type Annotation struct {
	Level Level
	Title string
	Text  string
	File  string // slash-separated, in the repository
	Line  int    // from 1; 0: none
}

// Annotate shows annotations, the first of each level first: the worst should stand there. GitHub shows ten of a level,
// so the tenth says how many are left out.
func (r Runner) Annotate(all []Annotation) (err error) {
	defer recovered(&err, "annotating")
	for _, level := range []Level{Error, Warning, Notice} {
		some := slices.DeleteFunc(slices.Clone(all), func(a Annotation) bool { return a.Level != level })
		for i, a := range some {
			if i == maxKind-1 && len(some) > maxKind {
				r.annotate(Annotation{Level: level, Title: a.Title, Text: fmt.Sprintf("%d more: see the report", len(some)-i)})
				break
			}
			r.annotate(a)
		}
	}
	return nil
}

func (r Runner) annotate(a Annotation) {
	fields := map[string]string{}
	if a.Title != "" {
		fields["title"] = clip(a.Title, maxAnnotation)
	}
	if a.File != "" {
		fields["file"] = a.File
		if a.Line > 0 {
			fields["line"] = strconv.Itoa(a.Line)
		}
	}
	with := r.action.WithFieldsMap(fields)
	say := map[Level]func(string, ...any){Error: with.Errorf, Warning: with.Warningf, Notice: with.Noticef}[a.Level]
	say("%s", clip(cmp.Or(a.Text, a.Title), maxAnnotation))
}

// clip cuts a text to at most so many bytes, on a rune's end.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const more = "…"
	at := limit - len(more)
	for at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	return text[:at] + more
}

// recovered turns the library's panic into an error.
func recovered(err *error, what string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: %v", what, p)
	}
}
