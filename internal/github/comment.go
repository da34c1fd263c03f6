package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Stamp says whose a comment's text is. It stands in the comment itself, on the line after the marker.
type Stamp struct {
	Run     int64  // of the workflow, GITHUB_RUN_ID
	Attempt int    // of the run, from 1
	Head    string // the commit that the text is about, full sha
}

// older says whether a stamp is of an earlier run or attempt than another.
func (s Stamp) older(than Stamp) bool {
	if s.Run != than.Run {
		return s.Run < than.Run
	}
	return s.Attempt < than.Attempt
}

// outcome is what one run said of a head, in Duet's own words: letters, blanks and commas.
type outcome struct {
	Run     int64
	Attempt int
	Words   string // "Go regressed, Rust unchanged"
}

// about is what a comment says about itself, in lines after the marker that nobody sees.
type about struct {
	Stamp
	words string    // its own result; empty while the run is under way
	was   []outcome // earlier results about the same commit, oldest first
}

// maxWas bounds the earlier results that a comment carries on.
const maxWas = 5

func (a about) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- duet:run %d.%d %s -->\n", a.Run, a.Attempt, a.Head)
	if a.words != "" {
		fmt.Fprintf(&b, "<!-- duet:said %s -->\n", a.words)
	}
	for _, r := range a.was {
		fmt.Fprintf(&b, "<!-- duet:was %d.%d %s -->\n", r.Run, r.Attempt, r.Words)
	}
	return b.String()
}

// repeated is the line that people see of earlier results.
func (a about) repeated() string {
	if len(a.was) == 0 {
		return ""
	}
	all := make([]string, len(a.was))
	for i, r := range a.was {
		all[i] = fmt.Sprintf("run %d.%d: %s", r.Run, r.Attempt, r.Words)
	}
	return "\nEarlier runs of this commit, each an independent repetition: " + strings.Join(all, " · ") + ".\n"
}

var (
	stampLine = regexp.MustCompile(`^<!-- duet:run ([0-9]{1,18})\.([0-9]{1,9}) ([0-9a-f]{40}|[0-9a-f]{64}) -->$`)
	saidLine  = regexp.MustCompile(`^<!-- duet:said ([A-Za-z ,]{1,100}) -->$`)
	wasLine   = regexp.MustCompile(`^<!-- duet:was ([0-9]{1,18})\.([0-9]{1,9}) ([A-Za-z ,]{1,100}) -->$`)
)

// aboutOf reads what a comment says about itself; a comment without a stamp is older than all.
func aboutOf(body string) (a about) {
	_, rest, _ := strings.Cut(body, "\n")
	for i := range 2 + maxWas {
		line, more, _ := strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		stamp, said, was := stampLine.FindStringSubmatch(line), saidLine.FindStringSubmatch(line), wasLine.FindStringSubmatch(line)
		switch {
		case i == 0 && stamp != nil:
			a.Run, a.Attempt = numbers(stamp)
			a.Head = stamp[3]
		case i == 1 && said != nil:
			a.words = said[1]
		case i > 0 && was != nil:
			r := outcome{Words: was[3]}
			r.Run, r.Attempt = numbers(was)
			a.was = append(a.was, r)
		default:
			return a
		}
		rest = more
	}
	return a
}

// numbers are a run's id and attempt, which the patterns bound.
func numbers(match []string) (run int64, attempt int) {
	run, _ = strconv.ParseInt(match[1], 10, 64)
	attempt, _ = strconv.Atoi(match[2])
	return run, attempt
}

// markerStart begins every text that Duet publishes.
const markerStart = "<!-- duet:v1:"

// headed puts what a text says about itself after the marker, which must be its first line.
func headed(text string, a about) (string, error) {
	marker, rest, ok := strings.Cut(text, "\n")
	switch {
	case !ok || !strings.HasPrefix(marker, markerStart) || !strings.HasSuffix(marker, "-->"):
		return "", fmt.Errorf("publishing a comment: its text starts with %.40q, expected the marker", text)
	case !stampLine.MatchString(strings.TrimSuffix(about{Stamp: a.Stamp}.lines(), "\n")):
		return "", fmt.Errorf("publishing a comment: it is about run %d.%d of %.70q, expected positive numbers and a full sha", a.Run, a.Attempt, a.Head)
	case a.words != "" && !saidLine.MatchString("<!-- duet:said "+a.words+" -->"):
		return "", fmt.Errorf("publishing a comment: its result is %.100q, expected at most 100 letters, blanks and commas", a.words)
	}
	return marker + "\n" + a.lines() + rest + a.repeated(), nil
}

// Comment is one comment of a pull request.
type Comment struct {
	ID     int64
	Author string // login
	Body   string
}

// Comments is what publishing a comment needs of GitHub. Each method is one atomic call to it, or a list of such.
type Comments interface {
	// Head is the pull request's head now.
	Head(ctx context.Context) (sha string, err error)
	// List is all comments, oldest first.
	List(ctx context.Context) ([]Comment, error)
	// Create may fail with an *UnsureError.
	Create(ctx context.Context, body string) error
	// Edit and Delete fail with ErrGone where the comment is gone.
	Edit(ctx context.Context, id int64, body string) error
	Delete(ctx context.Context, id int64) error
}

// ErrGone means that a comment is no more.
var ErrGone = errors.New("the comment is gone")

// Published is what became of a text.
type Published struct {
	Fate    Fate
	Comment int64 // the comment that says it; 0: none does
}

// Fate is what may become of a text.
type Fate string

// The fates.
const (
	Posted     Fate = "posted"
	Superseded Fate = "superseded" // the pull request has a newer head, or a newer run was here
)

// Post is one text to be published.
type Post struct {
	Author string // whose comments are Duet's own: the token's login, github-actions[bot]
	Stamp  Stamp
	Text   string // starts with the marker
	// Said is the text's result, as an outcome has it; empty where the run is under way. Earlier runs' results about the same
	// commit are carried on: a re-run is an independent repetition, and both are shown.
	Said string
	// Newest is the post about another head, made from what that head's run left, for the case that this post wrote over
	// it; ok is false where that run has nothing yet. nil: nothing is put back.
	Newest func(ctx context.Context, head string) (p Post, ok bool, err error)
}

// rounds bounds how often a post looks again after somebody else was at work.
const rounds = 6

// Upsert makes the pull request's one comment of Duet's say the text, unless something newer stands there.
//
// GitHub has no way to write only if nothing changed since it was read. So every publisher looks before and after its
// write, and the rules make all of them together end with one comment about the newest head, whatever the order of
// their calls:
//
//   - nothing is written for a head that is not the pull request's, nor over a newer run's text;
//   - of several comments the oldest stays, with the newest of their texts; the others go after that;
//   - who finds after its write that head has moved on may have written over the text about the new head, and puts it
//     back: from the run of that head, if it has ended. If it has not, that run's own write is still to come.
func Upsert(ctx context.Context, c Comments, p Post) (Published, error) {
	if _, err := headed(p.Text, about{Stamp: p.Stamp, words: p.Said}); err != nil {
		return Published{}, err
	}
	marker, _, _ := strings.Cut(p.Text, "\n")
	u := upsert{c: c, author: p.Author, marker: marker}
	superseded := Published{Fate: Superseded}
	now, wrote := p, false
	var unsure *UnsureError // of the last create
	for range rounds {
		head, err := c.Head(ctx)
		if err != nil {
			return Published{}, fmt.Errorf("reading the pull request: %w", err)
		}
		if head != now.Stamp.Head {
			if !wrote || p.Newest == nil {
				return superseded, nil
			}
			newer, ok, err := p.Newest(ctx, head)
			switch {
			case err != nil:
				return superseded, fmt.Errorf("putting back what was said of %.7s: %w", head, err)
			case !ok || newer.Stamp.Head != head:
				return superseded, nil
			}
			now = newer
			continue
		}
		found, err := u.once(ctx, now)
		wrote, unsure = wrote || found.did, found.unsure
		switch {
		case err != nil:
			return Published{}, err
		case found.newer && (!wrote || !found.did), found.says != 0 && !found.did && now.Stamp != p.Stamp:
			return superseded, nil
		case found.says != 0 && !found.did: // looked after the last write, and all was well
			return Published{Fate: Posted, Comment: found.says}, nil
		}
	}
	if unsure != nil {
		return Published{}, fmt.Errorf("creating the comment, %d times: %w", rounds, unsure)
	}
	return Published{}, fmt.Errorf("publishing the comment: others were at work on it %d times in a row", rounds)
}

// upsert is one publisher's work on a pull request's comments.
type upsert struct {
	c              Comments
	author, marker string
}

// own are Duet's comments under this marker, the oldest first. Others may quote the marker; only a comment of Duet's own
// author that starts with it, and has it once, is Duet's.
func (u upsert) own(ctx context.Context) ([]Comment, error) {
	all, err := u.c.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the comments: %w", err)
	}
	own := slices.DeleteFunc(all, func(c Comment) bool {
		return c.Author != u.author || !strings.HasPrefix(c.Body, u.marker+"\n") && !strings.HasPrefix(c.Body, u.marker+"\r\n") ||
			strings.Count(c.Body, markerStart) != 1
	})
	slices.SortFunc(own, func(a, b Comment) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	return own, nil
}

// look is what one look at the comments found and did.
type look struct {
	says   int64        // the one comment that says the body; 0: none yet
	newer  bool         // something newer is said
	did    bool         // something was written
	unsure *UnsureError // nobody knows whether a comment was created
}

// once looks, and does the next thing that is to be done.
func (u upsert) once(ctx context.Context, p Post) (l look, err error) {
	own, err := u.own(ctx)
	if err != nil {
		return look{}, err
	}
	body, err := headed(p.Text, about{Stamp: p.Stamp, words: p.Said, was: earlier(own, p.Stamp)})
	if err != nil {
		return look{}, err
	}
	if len(own) == 0 {
		err = u.c.Create(ctx, body)
		if errors.As(err, &l.unsure) {
			err = nil // the next look finds out
		}
		l.did = true
		return l, wrapped("creating the comment", err)
	}
	best, newest := body, p.Stamp
	for _, c := range own {
		if s := aboutOf(c.Body).Stamp; newest.older(s) {
			best, newest, l.newer = c.Body, s, true
		}
	}
	keep := own[0]
	if !same(keep.Body, best) {
		l.did = true
		err = u.c.Edit(ctx, keep.ID, best)
		if errors.Is(err, ErrGone) {
			err = nil
		}
		return l, wrapped("editing the comment", err)
	}
	l.says = keep.ID
	for _, c := range own[1:] {
		l.did = true
		if err := u.c.Delete(ctx, c.ID); err != nil && !errors.Is(err, ErrGone) {
			return l, wrapped("deleting a second comment", err)
		}
	}
	return l, nil
}

// earlier are the results of earlier runs about a post's commit, as Duet's comments have them.
func earlier(own []Comment, s Stamp) (was []outcome) {
	for _, c := range own {
		h := aboutOf(c.Body)
		if h.Head != s.Head {
			continue
		}
		if was = append(was, h.was...); h.words != "" {
			was = append(was, outcome{h.Run, h.Attempt, h.words})
		}
	}
	was = slices.DeleteFunc(was, func(r outcome) bool { return !(Stamp{Run: r.Run, Attempt: r.Attempt}).older(s) })
	slices.SortFunc(was, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.Words, b.Words))
	})
	was = slices.CompactFunc(was, func(a, b outcome) bool { return a.Run == b.Run && a.Attempt == b.Attempt })
	return was[max(0, len(was)-maxWas):]
}

// same compares as GitHub keeps texts: it may turn line ends into CRLF and cut blanks at the end.
func same(a, b string) bool {
	tidy := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return tidy(a) == tidy(b)
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
