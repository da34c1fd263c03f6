package github

import (
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

func (s Stamp) line() string {
	return fmt.Sprintf("<!-- duet:run %d.%d %s -->", s.Run, s.Attempt, s.Head)
}

var stampLine = regexp.MustCompile(`^<!-- duet:run ([0-9]{1,18})\.([0-9]{1,9}) ([0-9a-f]{40}|[0-9a-f]{64}) -->$`)

// stampOf reads a comment's stamp; a comment without one is older than all.
func stampOf(body string) (s Stamp) {
	_, rest, _ := strings.Cut(body, "\n")
	line, _, _ := strings.Cut(rest, "\n")
	m := stampLine.FindStringSubmatch(strings.TrimSuffix(line, "\r"))
	if m == nil {
		return Stamp{}
	}
	s.Run, _ = strconv.ParseInt(m[1], 10, 64) // the pattern bounds both
	s.Attempt, _ = strconv.Atoi(m[2])
	s.Head = m[3]
	return s
}

// markerStart begins every text that Duet publishes.
const markerStart = "<!-- duet:v1:"

// stamped puts a stamp after the marker, which must be the text's first line.
func stamped(text string, s Stamp) (string, error) {
	marker, rest, ok := strings.Cut(text, "\n")
	if !ok || !strings.HasPrefix(marker, markerStart) || !strings.HasSuffix(marker, "-->") {
		return "", fmt.Errorf("publishing a comment: its text starts with %.40q, expected the marker", text)
	}
	return marker + "\n" + s.line() + "\n" + rest, nil
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
	// Newest is the text about another head, made from what that head's run left, for the case that this post wrote over
	// it; ok is false where that run has nothing yet.
	Newest func(ctx context.Context, head string) (text string, stamp Stamp, ok bool, err error)
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
	body, err := stamped(p.Text, p.Stamp)
	if err != nil {
		return Published{}, err
	}
	marker, _, _ := strings.Cut(p.Text, "\n")
	u := upsert{c: c, author: p.Author, marker: marker}
	superseded := Published{Fate: Superseded}
	stamp, wrote := p.Stamp, false
	for range rounds {
		head, err := c.Head(ctx)
		if err != nil {
			return Published{}, fmt.Errorf("reading the pull request: %w", err)
		}
		if head != stamp.Head {
			if !wrote {
				return superseded, nil
			}
			text, newer, ok, err := p.newest(ctx, head)
			if err != nil || !ok {
				return superseded, err
			}
			if body, err = stamped(text, newer); err != nil {
				return Published{}, err
			}
			stamp = newer
			continue
		}
		found, err := u.once(ctx, body, stamp)
		wrote = wrote || found.did
		switch {
		case err != nil:
			return Published{}, err
		case found.newer && (!wrote || !found.did), found.says != 0 && !found.did && stamp != p.Stamp:
			return superseded, nil
		case found.says != 0 && !found.did: // looked after the last write, and all was well
			return Published{Fate: Posted, Comment: found.says}, nil
		}
	}
	return Published{}, fmt.Errorf("publishing the comment: others were at work on it %d times in a row", rounds)
}

func (p Post) newest(ctx context.Context, head string) (string, Stamp, bool, error) {
	if p.Newest == nil {
		return "", Stamp{}, false, nil
	}
	text, stamp, ok, err := p.Newest(ctx, head)
	if err != nil {
		err = fmt.Errorf("putting back what was said of %.7s: %w", head, err)
	}
	return text, stamp, ok && stamp.Head == head, err
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
	says  int64 // the one comment that says the body; 0: none yet
	newer bool  // something newer is said
	did   bool  // something was written
}

// once looks, and does the next thing that is to be done.
func (u upsert) once(ctx context.Context, body string, stamp Stamp) (l look, err error) {
	own, err := u.own(ctx)
	if err != nil {
		return look{}, err
	}
	if len(own) == 0 {
		err = u.c.Create(ctx, body)
		if unsure := (*UnsureError)(nil); errors.As(err, &unsure) {
			err = nil // the next look finds out
		}
		return look{did: true}, wrapped("creating the comment", err)
	}
	best, newest := body, stamp
	for _, c := range own {
		if s := stampOf(c.Body); newest.older(s) {
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
