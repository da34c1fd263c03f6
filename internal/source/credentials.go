package source

import (
	"context"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/duet-bench/duet/internal/plan"
)

// CredentialsError is E_CREDENTIALS_PERSISTED: the checkout left a token on the disk, where a fork's code
// could read it (SECURITY.md T5). Nothing of the fork was run.
type CredentialsError struct {
	Where []string // configuration keys and files, never values
}

func (e *CredentialsError) Error() string {
	return "E_CREDENTIALS_PERSISTED: the checkout left credentials where a fork's code could read them: " + strings.Join(e.Where, ", ")
}

const credentialsFix = "set `persist-credentials: false` on actions/checkout"

// CredentialsPersisted finds credentials that the checkout left behind. Up to v5 actions/checkout writes them to
// .git/config (http.*.extraheader), from v6 to a file that .git/config includes; a password may also stand in
// a remote's address. For a fork it is an error, a plan.UsageError around a *CredentialsError; otherwise the
// findings are returned and Resolve has made them a warning.
func (r Resolution) CredentialsPersisted(ctx context.Context) ([]string, error) {
	if err := r.from.alive(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.from.credentials(r.Fork)
}

func (c *checkout) credentials(fork bool) ([]string, error) {
	var where []string
	for _, s := range c.config {
		switch {
		case strings.HasPrefix(s.key, "http.") && strings.HasSuffix(s.key, ".extraheader"):
			where = append(where, s.key)
		case strings.HasPrefix(s.key, "includeif.") && strings.HasPrefix(path.Base(s.value), "git-credentials-"):
			where = append(where, printable(s.value))
		case strings.HasPrefix(s.key, "remote.") && strings.HasSuffix(s.key, "url"):
			if u, err := url.Parse(s.value); err == nil && u.User != nil && hasPassword(u) {
				where = append(where, s.key)
			}
		}
	}
	slices.Sort(where)
	where = slices.Compact(where)
	if fork && len(where) > 0 {
		return where, &plan.UsageError{Err: &CredentialsError{Where: where}, Hint: credentialsFix}
	}
	return where, nil
}

// hasPassword says whether an address carries a secret: a password, or over HTTP a name alone, which is how
// tokens are written.
func hasPassword(u *url.URL) bool {
	_, ok := u.User.Password()
	return ok || u.Scheme == "https" || u.Scheme == "http"
}
