package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/duet-bench/duet/internal/plan"
)

// Profiled is a binary of a variant to be profiled, never measured.
type Profiled struct {
	Binary string   // absolute; the measured binary itself where that can be profiled as it is
	Files  []string // as Built.Files
	Notes  []string // how it differs from the measured one
}

// BuildForProfiles makes what the profilers of a service need to look into it, beside the binary that is measured, which
// came of Build and stays as it is. It is called after Build, for the side that is in, best at once: what Build compiled
// is used as long as no other service is built. What it makes goes into out, which it makes. A *Failure is the tree's own
// doing.
func (w *Workshop) BuildForProfiles(ctx context.Context, service string, built Built, out string) (Profiled, error) {
	if w.site == nil || w.site.recipes[service] == nil || built.Binary == "" {
		return Profiled{}, fmt.Errorf("building %s for profiles: it was not built here before", service)
	}
	r := w.site.recipes[service]
	if twin, found := w.profiledTwin(r); found {
		return w.shareProfiled(twin, r, built, out)
	}
	profile := w.profileGo
	if r.service.Lang == plan.Rust {
		profile = w.profileRust
	}
	p, err := profile(ctx, r, built, out)
	if err == nil {
		for i := range w.site.made {
			if w.site.made[i].service.Name == service {
				w.site.made[i].profiled = p
			}
		}
	}
	return p, err
}

// profiledTwin is what was made already for a service that is built by the same recipe.
func (w *Workshop) profiledTwin(r *recipe) (made, bool) {
	for _, m := range w.site.made {
		if m.profiled.Binary != "" && m.service.Name != r.service.Name && sameBuild(m.service, r.service) {
			return m, true
		}
	}
	return made{}, false
}

// shareProfiled gives a service a copy of its twin's, for the reasons of share.
func (w *Workshop) shareProfiled(twin made, r *recipe, built Built, out string) (Profiled, error) {
	p := Profiled{Binary: built.Binary, Files: slices.Clone(built.Files), Notes: slices.Clone(twin.profiled.Notes)}
	if twin.profiled.Binary == twin.built.Binary {
		return p, nil
	}
	if err := copyKept(filepath.Dir(twin.profiled.Binary), out); err != nil {
		return Profiled{}, fmt.Errorf("keeping the binary of %s for profiles: %w", r.variant, w.spaceError(err))
	}
	p.Binary = filepath.Join(out, filepath.Base(twin.profiled.Binary))
	return p, nil
}

// keepProfiled copies the binary that r's build left, and the files beside the measured one, into out.
func (w *Workshop) keepProfiled(r *recipe, built Built, out string) (Profiled, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Profiled{}, fmt.Errorf("keeping the binary of %s for profiles: %w", r.variant, err)
	}
	to, err := os.OpenRoot(out)
	if err != nil {
		return Profiled{}, fmt.Errorf("keeping the binary of %s for profiles: %w", r.variant, err)
	}
	defer to.Close()
	beside, err := os.OpenRoot(built.Dir)
	if err != nil {
		return Profiled{}, fmt.Errorf("keeping the files of %s for profiles: %w", r.variant, err)
	}
	defer beside.Close()
	for _, name := range built.Files {
		if _, _, err := keepFile(beside, name, to, name, filesLimit); err != nil {
			return Profiled{}, fmt.Errorf("keeping the files of %s for profiles: %w", r.variant, w.spaceError(err))
		}
	}
	root, from, err := r.binary.find()
	if err != nil {
		return Profiled{}, &Failure{Step: "keeping the binary", Err: err}
	}
	defer root.Close()
	name := filepath.Base(built.Binary)
	binary, _, err := keepFile(root, from, to, name, binaryLimit)
	if err == nil && !binary.executable {
		err = errors.New(from + " is not executable")
	}
	if err != nil {
		return Profiled{}, w.keepError("keeping the binary", err)
	}
	return Profiled{Binary: filepath.Join(out, name), Files: slices.Clone(built.Files)}, nil
}

// removeBinary removes what an earlier build left, so that it is made again.
func (w *Workshop) removeBinary(r *recipe) {
	if root, from, err := r.binary.find(); err == nil {
		root.Remove(filepath.FromSlash(from))
		root.Close()
	}
}
