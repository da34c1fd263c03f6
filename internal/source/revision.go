package source

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// errUnknown is a revision that the repository, and where it is shallow its remote, does not know.
var errUnknown = errors.New("unknown revision")

// revision finds the commit a revision names, and the name under which it was found: as it stands, as a
// branch of origin (a CI checkout has no other), and in a shallow clone at the remote.
func (c *checkout) revision(ctx context.Context, rev string) (sha, name string, err error) {
	if rev == "" || strings.IndexFunc(rev, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return "", "", errUnknown
	}
	if rev == "HEAD" {
		if c.checkedOut == "" {
			return "", "", errUnknown
		}
		return c.checkedOut, rev, nil
	}
	names := []string{rev}
	if branchName(rev) {
		names = append(names, origin+rev)
	}
	for _, name := range names {
		sha, err := c.here.line(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
		if err == nil && isHex(sha) {
			return sha, strings.TrimPrefix(name, "refs/remotes/"), nil
		}
		var failed *gitError
		if err != nil && !errors.As(err, &failed) {
			return "", "", err
		}
	}
	return c.revisionAtRemote(ctx, rev)
}

// revisionAtRemote asks the remote of a shallow clone for a full sha or a branch.
func (c *checkout) revisionAtRemote(ctx context.Context, rev string) (sha, name string, err error) {
	cut, err := c.shallow()
	if err != nil {
		return "", "", err
	}
	if len(cut) == 0 || (!isHex(rev) && !branchName(rev)) {
		return "", "", errUnknown
	}
	fetching, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	const ref = "refs/duet/found"
	want := "+refs/heads/" + rev + ":" + ref
	if isHex(rev) {
		want = "+" + rev + ":" + ref
	}
	if err := c.fetch(fetching, 1, want); err != nil {
		if ctx.Err() != nil {
			return "", "", err
		}
		return "", "", errUnknown
	}
	sha, err = c.own.line(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	return sha, rev, err
}

// unknown is the error for a revision that was asked for by flag and is not there, with the nearest names.
func (c *checkout) unknown(ctx context.Context, flag, rev string) error {
	var hints []string
	if near := c.near(ctx, rev); len(near) > 0 {
		hints = append(hints, "did you mean "+strings.Join(near, " or ")+"?")
	}
	if cut, err := c.shallow(); err == nil && len(cut) > 0 {
		hints = append(hints, "the clone is shallow: "+fetchFix)
	}
	if len(hints) == 0 {
		hints = append(hints, "`git fetch` may bring it; `git branch --all` lists the branches")
	}
	return plan.Usagef(strings.Join(hints, "; "), "unknown revision %q given by %s", printable(rev), flag)
}

// near is up to three branch and tag names like rev.
func (c *checkout) near(ctx context.Context, rev string) []string {
	out, err := c.here.output(ctx, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
	if err != nil {
		return nil
	}
	type candidate struct {
		name string
		far  int
	}
	var found []candidate
	for name := range strings.FieldsSeq(string(out)) {
		far := distance(strings.ToLower(name), strings.ToLower(rev))
		if _, short, ok := strings.Cut(name, "/"); ok {
			far = min(far, distance(strings.ToLower(short), strings.ToLower(rev)))
		}
		if far <= max(2, len(rev)/3) {
			found = append(found, candidate{name: name, far: far})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.far - b.far })
	var names []string
	for _, f := range found[:min(3, len(found))] {
		names = append(names, strconv.Quote(f.name))
	}
	return names
}

// distance is how many bytes have to be inserted, deleted or replaced to turn a into b (Levenshtein), for
// names of at most 64 bytes; longer ones are far from everything.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// commit is what a commit object says, whatever a shallow clone hides.
type commit struct {
	sha     string
	parents []string
	when    int64 // committer's seconds since 1970
	subject string
}

func (c *checkout) commit(ctx context.Context, sha string) (commit, error) {
	text, err := c.own.output(ctx, "cat-file", "commit", sha)
	if err != nil {
		return commit{}, fmt.Errorf("reading commit %s: %w", sha, err)
	}
	found := commit{sha: sha}
	header, message, _ := strings.Cut(string(text), "\n\n")
	for line := range strings.SplitSeq(header, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "parent":
			if isHex(value) {
				found.parents = append(found.parents, value)
			}
		case "committer": // NAME <MAIL> SECONDS ZONE
			if words := strings.Fields(value); len(words) > 1 {
				found.when, _ = strconv.ParseInt(words[len(words)-2], 10, 64) // an odd date sorts first
			}
		}
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	found.subject = printable(strings.TrimSpace(subject))
	return found, nil
}

// mergeBases is all merge bases of head and tip, exactly: in a shallow clone only once no hidden history
// could hold another one.
func (c *checkout) mergeBases(ctx context.Context, head commit, tip string) ([]string, error) {
	fetching, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	left := depths()
	for {
		bases, wants, err := c.ancestry(ctx, head, tip)
		if err != nil || len(wants) == 0 {
			return bases, err
		}
		if len(left) == 0 {
			return nil, &hiddenError{err: errors.New("the remote's history is shallow too")}
		}
		cut, err := c.shallow()
		if err != nil {
			return nil, err
		}
		depth := left[0]
		if len(cut) == 0 {
			depth, left = 0, left[:1] // a full clone only lacks the tip: one fetch brings all of it
		}
		left = left[1:]
		if err := c.fetch(fetching, depth, wants...); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			return nil, &hiddenError{err: err}
		}
	}
}

// hiddenError is history that is needed and cannot be had: no base, with a reason.
type hiddenError struct{ err error }

func (e *hiddenError) Error() string { return e.err.Error() }
func (e *hiddenError) Unwrap() error { return e.err }

// ancestry is the merge bases as far as the history at hand tells, and what to fetch before they can be
// trusted. They can be when nothing is hidden above or beside them: a cut commit that is not an ancestor of a
// merge base could have one more common ancestor behind it.
func (c *checkout) ancestry(ctx context.Context, head commit, tip string) (bases, wants []string, err error) {
	there, err := c.has(ctx, tip)
	if err != nil {
		return nil, nil, err
	}
	if there && (tip == head.sha || slices.Contains(head.parents, tip)) {
		return []string{tip}, nil, nil
	}
	revs := []string{head.sha}
	if there {
		revs = append(revs, tip)
		out, err := c.own.output(ctx, "merge-base", "--all", head.sha, tip)
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
			return nil, nil, err
		}
		bases = strings.Fields(string(out))
		if len(bases) == 1 && (bases[0] == head.sha || bases[0] == tip) {
			return bases, nil, nil
		}
	} else {
		wants = append(wants, tip)
	}
	cut, err := c.shallow()
	if err != nil || len(cut) == 0 {
		return bases, wants, err
	}
	out, err := c.own.output(ctx, append(append(append([]string{"rev-list"}, revs...), "--not"), bases...)...)
	if err != nil {
		return nil, nil, err
	}
	for sha := range strings.FieldsSeq(string(out)) {
		if cut[sha] {
			wants = append(wants, sha)
		}
	}
	return bases, wants, nil
}

// ensure fetches one commit, if it is not at hand.
func (c *checkout) ensure(ctx context.Context, sha string) error {
	there, err := c.has(ctx, sha)
	if err != nil || there {
		return err
	}
	fetching, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	if err := c.fetch(fetching, 1, sha); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &hiddenError{err: err}
	}
	return nil
}

// count is how many commits are reachable from tip and not from sha.
func (c *checkout) count(ctx context.Context, sha, tip string) (int, error) {
	out, err := c.own.line(ctx, "rev-list", "--count", tip, "--not", sha)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}
